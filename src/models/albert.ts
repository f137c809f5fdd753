import type { Tensor } from '../graph/index.js';
import type { AlbertConfig } from './albert-config.js';
import { bertPooler } from './bert.js';
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
} from './transformer.js';
import { denseVariables, layerNormVariables, tableVariable, type VariableSpec } from './variables.js';

/**
 * ALBERT (Lan et al., arXiv:1909.11942), as transformers' `AlbertModel` and its heads compute it: narrow embeddings
 * that are projected, and layers that share their weights in groups.
 */
export function albert(config: AlbertConfig): Model {
  const { hidden_size: hidden, initializer_range: deviation } = config;
  const encoder = albertEncoder(config);
  const pooled = (pass: Pass, inputs: EncoderInputs): Tensor =>
    bertPooler(pass, firstTokenState(encoder, pass, inputs));
  const classify = (pass: Pass, x: Tensor): Tensor =>
    linear(pass, 'classifier', pass.dropout(x, config.classifier_dropout_prob));
  const withHead = (labels: number): VariableSpec[] => denseVariables('classifier', hidden, labels, deviation, 'head');
  return {
    variables: albertVariables(config),
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
      width: config.embedding_size,
      activation: config.hidden_act,
      epsilon: config.layer_norm_eps,
      deviation,
      tied: config.tie_word_embeddings !== false,
    }),
  };
}

const projection = 'bert/encoder/embedding_hidden_mapping_in';

/** The encoder's variables, without the pooler, in the order of the forward pass. */
function albertVariables(config: AlbertConfig): VariableSpec[] {
  const { embedding_size: width, hidden_size: hidden, initializer_range: deviation } = config;
  const { layers, settings } = albertEncoder(config);
  return [
    tableVariable('bert/embeddings/word_embeddings', config.vocab_size, width, deviation),
    tableVariable('bert/embeddings/position_embeddings', config.max_position_embeddings, width, deviation),
    tableVariable('bert/embeddings/token_type_embeddings', config.type_vocab_size, width, deviation),
    ...layerNormVariables('bert/embeddings/LayerNorm', width),
    ...denseVariables(projection, width, hidden, deviation),
    ...distinct(layers).flatMap((scopes) => layerVariables(scopes, settings, deviation)),
  ];
}

/** Each block once; a group that no layer uses is not among them. */
const distinct = (layers: readonly LayerScopes[]): LayerScopes[] => [
  ...new Map(layers.map((scopes) => [scopes.query, scopes])).values(),
];

/** Google's names inside a block. */
function blockScopes(group: number, inner: number): LayerScopes {
  const scope = `bert/encoder/transformer/group_${group}/inner_group_${inner}`;
  return {
    query: `${scope}/attention_1/self/query`,
    key: `${scope}/attention_1/self/key`,
    value: `${scope}/attention_1/self/value`,
    attentionOutput: `${scope}/attention_1/output/dense`,
    attentionNorm: `${scope}/LayerNorm`,
    intermediate: `${scope}/ffn_1/intermediate/dense`,
    output: `${scope}/ffn_1/intermediate/output/dense`,
    outputNorm: `${scope}/LayerNorm_1`,
  };
}

const embeddingNames = {
  words: 'bert/embeddings/word_embeddings',
  positions: 'bert/embeddings/position_embeddings',
  types: 'bert/embeddings/token_type_embeddings',
};

function albertEncoder(config: AlbertConfig): Encoder {
  const { num_hidden_layers: layers, num_hidden_groups: groups, inner_group_num: inner } = config;
  // Transformers' formula, rounding included: of 18 layers in 14 groups it puts layer 9 into group 6, not 7.
  const groupOf = (layer: number): number => Math.floor(layer / (layers / groups));
  return {
    layers: Array.from({ length: layers * inner }, (_, i) => blockScopes(groupOf(Math.floor(i / inner)), i % inner)),
    settings: {
      hidden: config.hidden_size,
      heads: config.num_attention_heads,
      intermediate: config.intermediate_size,
      activation: config.hidden_act,
      epsilon: config.layer_norm_eps,
      attentionRate: config.attention_probs_dropout_prob,
      attentionOutputRate: config.hidden_dropout_prob,
      outputRate: 0,
    },
    embed(pass, inputs) {
      const sum = embedTokens(pass, embeddingNames, inputs);
      const normal = normalise(pass, 'bert/embeddings/LayerNorm', sum, config.layer_norm_eps);
      return linear(pass, projection, pass.dropout(normal, config.hidden_dropout_prob));
    },
  };
}
