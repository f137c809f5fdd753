import { tf, type Tensor } from '../graph/index.js';
import { bertLayerScopes, bertLayerSettings, bertPooler } from './bert.js';
import { maskedLanguageModelHead } from './language-model-head.js';
import { embedding, type Pass } from './layers.js';
import type { Model } from './model.js';
import type { RobertaConfig } from './roberta-config.js';
import {
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
 * RoBERTa (Liu et al., arXiv:1907.11692), as transformers' `RobertaModel` and its heads compute it. Variables have
 * BERT's names, as RoBERTa4Keras writes them.
 */
export function roberta(config: RobertaConfig): Model {
  const { hidden_size: hidden, initializer_range: deviation } = config;
  const encoder = robertaEncoder(config);
  const rate = config.classifier_dropout ?? config.hidden_dropout_prob;
  return {
    variables: robertaVariables(config),
    poolerVariables: denseVariables('bert/pooler/dense', hidden, hidden, deviation, 'pooler'),
    hiddenStates: (pass, inputs) => hiddenStates(encoder, pass, inputs),
    pooled: (pass, inputs) => bertPooler(pass, firstTokenState(encoder, pass, inputs)),
    classifier: (labels) => ({
      variables: [
        ...denseVariables('classifier/dense', hidden, hidden, deviation, 'head'),
        ...denseVariables('classifier/out_proj', hidden, labels, deviation, 'head'),
      ],
      pools: false,
      logits(pass, inputs) {
        const first = pass.dropout(firstTokenState(encoder, pass, inputs), rate);
        const dense = tf.tanh(linear(pass, 'classifier/dense', first));
        return linear(pass, 'classifier/out_proj', pass.dropout(dense, rate));
      },
    }),
    tokenClassifier: (labels) => ({
      variables: denseVariables('classifier', hidden, labels, deviation, 'head'),
      pools: false,
      logits: (pass, inputs) => linear(pass, 'classifier', pass.dropout(hiddenStates(encoder, pass, inputs), rate)),
    }),
    languageModel: maskedLanguageModelHead(encoder, {
      scope: 'cls/predictions/transform',
      bias: 'cls/predictions/output_bias',
      words: 'bert/embeddings/word_embeddings',
      vocabulary: config.vocab_size,
      width: hidden,
      activation: 'gelu', // whatever the layers have
      epsilon: config.layer_norm_eps,
      deviation,
      tied: config.tie_word_embeddings !== false,
    }),
  };
}

/** The encoder's variables, without the pooler, in the order of the forward pass. */
function robertaVariables(config: RobertaConfig): VariableSpec[] {
  const { hidden_size: hidden, initializer_range: deviation } = config;
  const { layers, settings } = robertaEncoder(config);
  return [
    tableVariable('bert/embeddings/word_embeddings', config.vocab_size, hidden, deviation),
    tableVariable('bert/embeddings/position_embeddings', config.max_position_embeddings, hidden, deviation),
    // RoBERTa has no segments. Transformers keeps a table all the same; fairseq has none, which means zeros.
    {
      name: 'bert/embeddings/token_type_embeddings',
      shape: [config.type_vocab_size, hidden],
      initializer: { kind: 'zeros' },
      part: 'optional',
    },
    ...layerNormVariables('bert/embeddings/LayerNorm', hidden),
    ...layers.flatMap((scopes) => layerVariables(scopes, settings, deviation)),
  ];
}

function robertaEncoder(config: RobertaConfig): Encoder {
  return {
    layers: Array.from({ length: config.num_hidden_layers }, (_, index) =>
      bertLayerScopes(`bert/encoder/layer_${index}`),
    ),
    settings: bertLayerSettings(config),
    embed(pass, inputs) {
      const normal = normalise(pass, 'bert/embeddings/LayerNorm', embed(config, pass, inputs), config.layer_norm_eps);
      return pass.dropout(normal, config.hidden_dropout_prob);
    },
  };
}

/** The sum of a token's embeddings, [N, H]. Positions count the tokens that are not padding, from pad_token_id + 1. */
function embed(
  { pad_token_id: pad }: RobertaConfig,
  { weights }: Pass,
  { inputIds, tokenTypeIds }: EncoderInputs,
): Tensor {
  const real = tf.cast(tf.notEqual(inputIds, tf.scalar(pad, 'int32')), 'int32'); // [B, S]
  const positionIds = tf.add(tf.mul(tf.cumsum(real, 1), real), tf.scalar(pad, 'int32')); // [B, S]
  const words = embedding(weights('bert/embeddings/word_embeddings'), inputIds);
  const types = embedding(weights('bert/embeddings/token_type_embeddings'), tokenTypeIds);
  const positions = embedding(weights('bert/embeddings/position_embeddings'), positionIds);
  return tf.add(tf.add(words, types), positions);
}
