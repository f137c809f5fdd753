import type { ModelConfig } from '../models/model-config.js';

/** A dimension that the configuration does not tell: the number of labels. */
export type ExpectedShape = readonly (number | 'labels')[];

interface Sizes {
  readonly vocabulary: number;
  readonly positions: number;
  readonly types: number;
  /** The width of the embeddings. */
  readonly width: number;
  readonly hidden: number;
  readonly intermediate: number;
  /** The width that the language model compares with the words. */
  readonly transformed: number;
}

function sizesOf(config: ModelConfig): Sizes {
  const common = { vocabulary: config.vocab_size, positions: config.max_position_embeddings };
  if (config.model_type === 'distilbert') {
    const { dim, hidden_dim: intermediate } = config;
    return { ...common, types: 0, width: dim, hidden: dim, intermediate, transformed: dim };
  }
  const { hidden_size: hidden, intermediate_size: intermediate, type_vocab_size: types } = config;
  const narrow = config.model_type === 'albert' || config.model_type === 'electra';
  const width = narrow ? config.embedding_size : hidden;
  return { ...common, types, width, hidden, intermediate, transformed: width };
}

/**
 * The shape of a variable by its name, as the models declare it: kernels are [in, out]. For what works without
 * TensorFlow, which the models' own declarations load; a test compares the two. `carried-names.ts` has the heads that no
 * model declares.
 */
export function variableShape(config: ModelConfig, name: string): ExpectedShape {
  const { vocabulary, positions, types, width, hidden, intermediate, transformed } = sizesOf(config);
  const dense = (inputs: number, outputs: number | 'labels'): ExpectedShape =>
    name.endsWith('/kernel') ? [inputs, outputs] : [outputs];
  if (config.model_type === 'albert_zh') {
    if (name === 'bert/embeddings/word_embeddings') return [vocabulary, config.embedding_size];
    if (name === 'bert/embeddings/word_embeddings_2') return [config.embedding_size, hidden];
  }
  if (name.endsWith('/embeddings/word_embeddings')) return [vocabulary, width];
  if (name.endsWith('/embeddings/position_embeddings')) return [positions, width];
  if (name.endsWith('/embeddings/token_type_embeddings')) return [types, width];
  if (name.includes('/embeddings/LayerNorm/')) return [width];
  if (/\/(embeddings_project|embedding_hidden_mapping_in)\//.test(name)) return dense(width, hidden);
  if (/\/(intermediate\/dense|ffn\/lin1)\//.test(name)) return dense(hidden, intermediate);
  if (/\/(layer_(\d+|shared)\/output\/dense|intermediate\/output\/dense|ffn\/lin2)\//.test(name)) {
    return dense(intermediate, hidden);
  }
  if (/^(cls\/predictions\/transform|generator_predictions)\/dense\//.test(name)) return dense(hidden, transformed);
  if (/^(cls\/predictions\/transform|generator_predictions)\/LayerNorm\//.test(name)) return [transformed];
  if (/^(cls\/predictions|generator_predictions)\/output_bias$/.test(name)) return [vocabulary];
  if (name === 'cls/predictions/decoder/output_weights') return [vocabulary, transformed];
  if (/^classifier\/(out_proj\/)?(kernel|bias)$/.test(name)) return dense(hidden, 'labels');
  if (name.startsWith('discriminator_predictions/dense_1/')) return dense(hidden, 1);
  if (name.startsWith('crf/')) return name === 'crf/transitions' ? ['labels', 'labels'] : ['labels'];
  if (/^cls\/(seq_relationship|squad)\//.test(name)) return name.endsWith('weights') ? [2, hidden] : [2];
  return name.endsWith('/kernel') ? [hidden, hidden] : [hidden];
}
