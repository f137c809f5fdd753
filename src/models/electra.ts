import { activations } from './activations.js';
import { bertLayerScopes, bertLayerSettings } from './bert.js';
import type { ElectraConfig } from './electra-config.js';
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
} from './transformer.js';
import { denseVariables, layerNormVariables, tableVariable, type VariableSpec } from './variables.js';

/**
 * ELECTRA (Clark et al., arXiv:2003.10555), as transformers' `ElectraModel` and its heads compute it: BERT with
 * embeddings that may be narrower than the layers, and no pooler.
 */
export function electra(config: ElectraConfig): Model {
  const { hidden_size: hidden, initializer_range: deviation } = config;
  const encoder = electraEncoder(config);
  const rate = config.classifier_dropout ?? config.hidden_dropout_prob;
  return {
    variables: electraVariables(config),
    poolerVariables: [],
    hiddenStates: (pass, inputs) => hiddenStates(encoder, pass, inputs),
    pooled: (pass, inputs) => firstTokenState(encoder, pass, inputs),
    classifier: (labels) => ({
      variables: [
        ...denseVariables('classifier/dense', hidden, hidden, deviation, 'head'),
        ...denseVariables('classifier/out_proj', hidden, labels, deviation, 'head'),
      ],
      pools: false,
      logits(pass, inputs) {
        const first = pass.dropout(firstTokenState(encoder, pass, inputs), rate);
        const dense = activations.gelu(linear(pass, 'classifier/dense', first)); // whatever the layers have
        return linear(pass, 'classifier/out_proj', pass.dropout(dense, rate));
      },
    }),
    tokenClassifier: (labels) => ({
      variables: denseVariables('classifier', hidden, labels, deviation, 'head'),
      pools: false,
      logits: (pass, inputs) => linear(pass, 'classifier', pass.dropout(hiddenStates(encoder, pass, inputs), rate)),
    }),
    // Of a generator; a discriminator's checkpoint has none.
    languageModel: maskedLanguageModelHead(encoder, {
      scope: 'generator_predictions',
      bias: 'generator_predictions/output_bias',
      words: 'electra/embeddings/word_embeddings',
      vocabulary: config.vocab_size,
      width: config.embedding_size,
      activation: 'gelu', // whatever the layers have
      epsilon: config.layer_norm_eps,
      deviation,
      tied: config.tie_word_embeddings !== false,
    }),
  };
}

const isProjected = (config: ElectraConfig): boolean => config.embedding_size !== config.hidden_size;

/** The encoder's variables, in the order of the forward pass. */
function electraVariables(config: ElectraConfig): VariableSpec[] {
  const { embedding_size: width, hidden_size: hidden, initializer_range: deviation } = config;
  const { layers, settings } = electraEncoder(config);
  return [
    tableVariable('electra/embeddings/word_embeddings', config.vocab_size, width, deviation),
    tableVariable('electra/embeddings/position_embeddings', config.max_position_embeddings, width, deviation),
    tableVariable('electra/embeddings/token_type_embeddings', config.type_vocab_size, width, deviation),
    ...layerNormVariables('electra/embeddings/LayerNorm', width),
    ...(isProjected(config) ? denseVariables('electra/embeddings_project', width, hidden, deviation) : []),
    ...layers.flatMap((scopes) => layerVariables(scopes, settings, deviation)),
  ];
}

const embeddingNames = {
  words: 'electra/embeddings/word_embeddings',
  positions: 'electra/embeddings/position_embeddings',
  types: 'electra/embeddings/token_type_embeddings',
};

function electraEncoder(config: ElectraConfig): Encoder {
  return {
    layers: Array.from({ length: config.num_hidden_layers }, (_, index) =>
      bertLayerScopes(`electra/encoder/layer_${index}`),
    ),
    settings: bertLayerSettings(config),
    embed(pass, inputs) {
      const sum = embedTokens(pass, embeddingNames, inputs);
      const normal = normalise(pass, 'electra/embeddings/LayerNorm', sum, config.layer_norm_eps);
      const kept = pass.dropout(normal, config.hidden_dropout_prob);
      return isProjected(config) ? linear(pass, 'electra/embeddings_project', kept) : kept;
    },
  };
}
