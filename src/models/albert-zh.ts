import type { Tensor } from '../graph/index.js';
import type { AlbertZhConfig } from './albert-zh-config.js';
import { bertLayerScopes, bertLayerSettings, bertPooler } from './bert.js';
import { maskedLanguageModelHead } from './language-model-head.js';
import { embedding, product, type Pass } from './layers.js';
import type { Model } from './model.js';
import {
  addPlaces,
  firstTokenState,
  hiddenStates,
  layerVariables,
  linear,
  normalise,
  type Encoder,
  type EncoderInputs,
} from './transformer.js';
import { denseVariables, layerNormVariables, tableVariable, type VariableSpec } from './variables.js';

/**
 * The ALBERT of albert_zh's first releases (brightmart/albert_zh, `modeling.py` and `run_pretraining.py`): narrow words
 * are projected, without a bias, before positions and token types of the hidden size are added, all layers are one of
 * BERT's, and masked words are told by going back through the projection.
 */
export function albertZh(config: AlbertZhConfig): Model {
  const { hidden_size: hidden, initializer_range: deviation } = config;
  const encoder = albertZhEncoder(config);
  const pooled = (pass: Pass, inputs: EncoderInputs): Tensor =>
    bertPooler(pass, firstTokenState(encoder, pass, inputs));
  const classify = (pass: Pass, x: Tensor): Tensor =>
    linear(pass, 'classifier', pass.dropout(x, config.classifier_dropout_prob));
  const withHead = (labels: number): VariableSpec[] => denseVariables('classifier', hidden, labels, deviation, 'head');
  return {
    variables: albertZhVariables(config),
    poolerVariables: denseVariables('bert/pooler/dense', hidden, hidden, deviation, 'pooler'),
    hiddenStates: (pass, inputs) => hiddenStates(encoder, pass, inputs),
    pooled,
    classifier: (labels) => ({
      variables: withHead(labels),
      pools: true,
      logits: (pass, inputs) => classify(pass, pooled(pass, inputs)),
    }),
    tokenClassifier: (labels) => ({
      variables: withHead(labels),
      pools: false,
      logits: (pass, inputs) => classify(pass, hiddenStates(encoder, pass, inputs)),
    }),
    languageModel: maskedLanguageModelHead(encoder, {
      scope: 'cls/predictions/transform',
      bias: 'cls/predictions/output_bias',
      words,
      projection,
      vocabulary: config.vocab_size,
      width: hidden,
      activation: config.hidden_act,
      epsilon: config.layer_norm_eps,
      deviation,
      tied: true,
    }),
  };
}

const words = 'bert/embeddings/word_embeddings'; // [V, E]
const projection = 'bert/embeddings/word_embeddings_2'; // [E, H]
const places = {
  positions: 'bert/embeddings/position_embeddings',
  types: 'bert/embeddings/token_type_embeddings',
};
const sharedLayer = bertLayerScopes('bert/encoder/layer_shared');

/** The encoder's variables, without the pooler, in the order of the forward pass. */
function albertZhVariables(config: AlbertZhConfig): VariableSpec[] {
  const { embedding_size: width, hidden_size: hidden, initializer_range: deviation } = config;
  return [
    tableVariable(words, config.vocab_size, width, deviation),
    tableVariable(projection, width, hidden, deviation),
    tableVariable(places.positions, config.max_position_embeddings, hidden, deviation),
    tableVariable(places.types, config.type_vocab_size, hidden, deviation),
    ...layerNormVariables('bert/embeddings/LayerNorm', hidden),
    ...layerVariables(sharedLayer, bertLayerSettings(config), deviation),
  ];
}

function albertZhEncoder(config: AlbertZhConfig): Encoder {
  return {
    layers: Array.from({ length: config.num_hidden_layers }, () => sharedLayer),
    settings: bertLayerSettings(config),
    embed(pass, inputs) {
      const narrow = embedding(pass.weights(words), inputs.inputIds); // [N, E]
      const sum = addPlaces(pass, product(narrow, pass.weights(projection)), places, inputs);
      const normal = normalise(pass, 'bert/embeddings/LayerNorm', sum, config.layer_norm_eps);
      return pass.dropout(normal, config.hidden_dropout_prob);
    },
  };
}
