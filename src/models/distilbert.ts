import { activations } from './activations.js';
import type { DistilbertConfig } from './distilbert-config.js';
import { maskedLanguageModelHead } from './language-model-head.js';
import type { Model } from './model.js';
import {
  embedTokens,
  firstTokenState,
  hiddenStates,
  layerVariables,
  linear,
  normalise,
  type Encoder,
  type LayerScopes,
} from './transformer.js';
import { denseVariables, layerNormVariables, tableVariable, type VariableSpec } from './variables.js';

// Not a key of the configuration (transformers `modeling_distilbert.py`).
const epsilon = 1e-12;

/**
 * DistilBERT (Sanh et al., arXiv:1910.01108), as transformers' `DistilBertModel` and its heads compute it: BERT without
 * segments, pooler and the dropout behind the attention. There is no TensorFlow checkpoint of its authors' to take the
 * names from: they are Transformers' own, spelled Google's way.
 */
export function distilbert(config: DistilbertConfig): Model {
  const { dim: hidden, initializer_range: deviation } = config;
  const encoder = distilbertEncoder(config);
  return {
    variables: distilbertVariables(config),
    poolerVariables: [],
    hiddenStates: (pass, inputs) => hiddenStates(encoder, pass, inputs),
    pooled: (pass, inputs) => firstTokenState(encoder, pass, inputs),
    classifier: (labels) => ({
      variables: [
        ...denseVariables('pre_classifier', hidden, hidden, deviation, 'head'),
        ...denseVariables('classifier', hidden, labels, deviation, 'head'),
      ],
      pools: false,
      logits(pass, inputs) {
        const dense = activations.relu(linear(pass, 'pre_classifier', firstTokenState(encoder, pass, inputs)));
        return linear(pass, 'classifier', pass.dropout(dense, config.seq_classif_dropout));
      },
    }),
    tokenClassifier: (labels) => ({
      variables: denseVariables('classifier', hidden, labels, deviation, 'head'),
      pools: false,
      logits: (pass, inputs) =>
        linear(pass, 'classifier', pass.dropout(hiddenStates(encoder, pass, inputs), config.dropout)),
    }),
    languageModel: maskedLanguageModelHead(encoder, {
      scope: 'cls/predictions/transform',
      bias: 'cls/predictions/output_bias',
      words: 'distilbert/embeddings/word_embeddings',
      vocabulary: config.vocab_size,
      width: hidden,
      activation: config.activation,
      epsilon,
      deviation,
      tied: config.tie_word_embeddings !== false,
    }),
  };
}

/** The encoder's variables, in the order of the forward pass. */
function distilbertVariables(config: DistilbertConfig): VariableSpec[] {
  const { dim: hidden, initializer_range: deviation } = config;
  const { layers, settings } = distilbertEncoder(config);
  return [
    tableVariable('distilbert/embeddings/word_embeddings', config.vocab_size, hidden, deviation),
    tableVariable('distilbert/embeddings/position_embeddings', config.max_position_embeddings, hidden, deviation),
    ...layerNormVariables('distilbert/embeddings/LayerNorm', hidden),
    ...layers.flatMap((scopes) => layerVariables(scopes, settings, deviation)),
  ];
}

const embeddingNames = {
  words: 'distilbert/embeddings/word_embeddings',
  positions: 'distilbert/embeddings/position_embeddings',
};

function distilbertEncoder(config: DistilbertConfig): Encoder {
  return {
    layers: Array.from({ length: config.n_layers }, (_, index) => layerScopes(`distilbert/transformer/layer_${index}`)),
    settings: {
      hidden: config.dim,
      heads: config.n_heads,
      intermediate: config.hidden_dim,
      activation: config.activation,
      epsilon,
      attentionRate: config.attention_dropout,
      attentionOutputRate: 0,
      outputRate: config.dropout,
    },
    embed(pass, inputs) {
      const sum = embedTokens(pass, embeddingNames, inputs);
      return pass.dropout(normalise(pass, 'distilbert/embeddings/LayerNorm', sum, epsilon), config.dropout);
    },
  };
}

function layerScopes(scope: string): LayerScopes {
  return {
    query: `${scope}/attention/q_lin`,
    key: `${scope}/attention/k_lin`,
    value: `${scope}/attention/v_lin`,
    attentionOutput: `${scope}/attention/out_lin`,
    attentionNorm: `${scope}/sa_layer_norm`,
    intermediate: `${scope}/ffn/lin1`,
    output: `${scope}/ffn/lin2`,
    outputNorm: `${scope}/output_layer_norm`,
  };
}
