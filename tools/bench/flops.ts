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
 * Floating-point operations of all matrix products of PyTorch's training step, a multiplication and an addition counted as
 * two. Going back takes two products of the same size for each one forward, since the embeddings are trained too. What
 * t4's step takes, which computes of the last layer no more than the classifier looks at, its graph says.
 */
export function torchStepFlops(sizes: ModelSizes, batch: number, length: number): number {
  const { hidden, layers, labels } = sizes;
  const head = 2 * batch * (hidden * hidden + hidden * labels); // pooler and classifier see one token of each text
  return 3 * (layers * layerFlops(sizes, batch, length) + head);
}

/** The forward products of one layer. */
function layerFlops({ hidden, intermediate }: ModelSizes, batch: number, length: number): number {
  const dense = 2 * (batch * length) * (4 * hidden * hidden + 2 * hidden * intermediate); // query, key, value, output, feed-forward
  const attention = 2 * (2 * batch * length * length * hidden); // scores and context, over all heads
  return dense + attention;
}
