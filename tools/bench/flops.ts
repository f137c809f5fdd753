/** The sizes that decide the arithmetic of BERT with a classification head. */
export interface ModelSizes {
  readonly hidden: number;
  readonly layers: number;
  readonly intermediate: number;
  readonly labels: number;
}

export interface BertSizes extends ModelSizes {
  readonly heads: number;
  readonly vocabulary: number;
}

export const bertBase: BertSizes = {
  hidden: 768,
  layers: 12,
  heads: 12,
  intermediate: 3072,
  vocabulary: 21128,
  labels: 2,
};

/** The configuration of a model of these sizes, as its config.json has it. */
export const bertSettings = ({ hidden, layers, heads, intermediate, vocabulary }: BertSizes) => ({
  model_type: 'bert',
  vocab_size: vocabulary,
  hidden_size: hidden,
  num_hidden_layers: layers,
  num_attention_heads: heads,
  intermediate_size: intermediate,
});

/**
 * Floating-point operations of all matrix products of one training step, a multiplication and an addition counted as
 * two. Going back takes two products of the same size for each one forward, since the embeddings are trained too.
 *
 * @param lastLayer what of the last layer is computed: every token, as PyTorch does, or the first one of each sequence,
 *   which is all that the classifier looks at, as t4 does
 */
export function stepFlops(sizes: ModelSizes, batch: number, length: number, lastLayer: 'all' | 'first token'): number {
  const { hidden, layers, labels } = sizes;
  const last = layerFlops(sizes, batch, lastLayer === 'all' ? length : 1, length);
  const others = (layers - 1) * layerFlops(sizes, batch, length, length);
  const head = 2 * batch * (hidden * hidden + hidden * labels); // pooler and classifier see one token of each text
  return 3 * (others + last + head);
}

/** The forward products of one layer, for `queries` tokens of each sequence of `length`. */
function layerFlops({ hidden, intermediate }: ModelSizes, batch: number, queries: number, length: number): number {
  const keysAndValues = 2 * (batch * length) * (2 * hidden * hidden);
  const forQueries = 2 * (batch * queries) * (2 * hidden * hidden + 2 * hidden * intermediate); // query, output, feed-forward
  const attention = 2 * (2 * batch * queries * length * hidden); // scores and context, over all heads
  return keysAndValues + forQueries + attention;
}
