import { tf, type Tensor } from '../graph/index.js';
import type { BertConfig } from './bert-config.js';
import { maskedLanguageModelHead } from './language-model-head.js';
import type { Pass } from './layers.js';
import type { Model } from './model.js';
import {
  embedTokens,
  firstTokenState,
  hiddenStates,
  layerVariables,
  linear,
  normalise,
  type Encoder,
  type EncoderInputs,
  type LayerScopes,
  type LayerSettings,
} from './transformer.js';
import { denseVariables, layerNormVariables, tableVariable, type VariableSpec } from './variables.js';

/** BERT (Devlin et al., arXiv:1810.04805), as transformers' `BertModel` and its heads compute it. */
export function bert(config: BertConfig): Model {
  const { hidden_size: hidden, initializer_range: deviation } = config;
  const encoder = bertEncoder(config);
  const pooled = (pass: Pass, inputs: EncoderInputs): Tensor =>
    bertPooler(pass, firstTokenState(encoder, pass, inputs));
  const rate = config.classifier_dropout ?? config.hidden_dropout_prob;
  const classify = (pass: Pass, x: Tensor): Tensor => linear(pass, 'classifier', pass.dropout(x, rate));
  const withHead = (labels: number): VariableSpec[] => denseVariables('classifier', hidden, labels, deviation, 'head');
  return {
    variables: bertVariables(config),
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
      words: 'bert/embeddings/word_embeddings',
      vocabulary: config.vocab_size,
      width: hidden,
      activation: config.hidden_act,
      epsilon: config.layer_norm_eps,
      deviation,
      tied: config.tie_word_embeddings !== false,
    }),
  };
}

/** The encoder's variables, without the pooler, in the order of the forward pass. */
function bertVariables(config: BertConfig): VariableSpec[] {
  const { hidden_size: hidden, initializer_range: deviation } = config;
  const { layers, settings } = bertEncoder(config);
  return [
    tableVariable('bert/embeddings/word_embeddings', config.vocab_size, hidden, deviation),
    tableVariable('bert/embeddings/position_embeddings', config.max_position_embeddings, hidden, deviation),
    tableVariable('bert/embeddings/token_type_embeddings', config.type_vocab_size, hidden, deviation),
    ...layerNormVariables('bert/embeddings/LayerNorm', hidden),
    ...layers.flatMap((scopes) => layerVariables(scopes, settings, deviation)),
  ];
}

const embeddingNames = {
  words: 'bert/embeddings/word_embeddings',
  positions: 'bert/embeddings/position_embeddings',
  types: 'bert/embeddings/token_type_embeddings',
};

function bertEncoder(config: BertConfig): Encoder {
  return {
    layers: Array.from({ length: config.num_hidden_layers }, (_, index) =>
      bertLayerScopes(`bert/encoder/layer_${index}`),
    ),
    settings: bertLayerSettings(config),
    embed(pass, inputs) {
      const sum = embedTokens(pass, embeddingNames, inputs);
      const normal = normalise(pass, 'bert/embeddings/LayerNorm', sum, config.layer_norm_eps);
      return pass.dropout(normal, config.hidden_dropout_prob);
    },
  };
}

/** Google's names inside a layer's scope. */
export function bertLayerScopes(scope: string): LayerScopes {
  return {
    query: `${scope}/attention/self/query`,
    key: `${scope}/attention/self/key`,
    value: `${scope}/attention/self/value`,
    attentionOutput: `${scope}/attention/output/dense`,
    attentionNorm: `${scope}/attention/output/LayerNorm`,
    intermediate: `${scope}/intermediate/dense`,
    output: `${scope}/output/dense`,
    outputNorm: `${scope}/output/LayerNorm`,
  };
}

type LayerKeys =
  | 'hidden_size'
  | 'num_attention_heads'
  | 'intermediate_size'
  | 'hidden_act'
  | 'layer_norm_eps'
  | 'hidden_dropout_prob'
  | 'attention_probs_dropout_prob';

/** The layers of BERT, and of RoBERTa and ELECTRA, which have the same. */
export function bertLayerSettings(config: Pick<BertConfig, LayerKeys>): LayerSettings {
  return {
    hidden: config.hidden_size,
    heads: config.num_attention_heads,
    intermediate: config.intermediate_size,
    activation: config.hidden_act,
    epsilon: config.layer_norm_eps,
    attentionRate: config.attention_probs_dropout_prob,
    attentionOutputRate: config.hidden_dropout_prob,
    outputRate: config.hidden_dropout_prob,
  };
}

/** A sequence's first token through a dense layer and tanh, [B, H] -> [B, H]. */
export function bertPooler(pass: Pass, firstToken: Tensor): Tensor {
  return tf.tanh(linear(pass, 'bert/pooler/dense', firstToken));
}
