/** The sizes that decide the arithmetic of BERT with a classification head. */
export interface ModelSizes {
  readonly hidden: number;
  readonly layers: number;
  readonly intermediate: number;
  readonly labels: number;
}

export const bertBase = {
  hidden: 768,
  layers: 12,
  heads: 12,
  intermediate: 3072,
  vocabulary: 21128,
  labels: 2,
} as const;

/**
 * Floating-point operations of all matrix products of one training step, a multiplication and an addition counted as
 * two. Going back takes two products of the same size for each one forward, since the embeddings are trained too.
 */
export function stepFlops({ hidden, layers, intermediate, labels }: ModelSizes, batch: number, length: number): number {
  const tokens = batch * length;
  const weightsOfLayer = 4 * hidden * hidden + 2 * hidden * intermediate; // query, key, value, output; feed-forward
  const dense = 2 * tokens * weightsOfLayer;
  const attention = 2 * (2 * batch * length * length * hidden); // scores and context, over all heads
  const head = 2 * batch * (hidden * hidden + hidden * labels); // pooler and classifier see one token of each text
  return 3 * (layers * (dense + attention) + head);
}
