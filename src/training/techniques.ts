/**
 * What a training step may do besides the plain one. 0 (of `gradientAccumulation` 1) turns a technique off; the graph is
 * then the very one that it was without.
 */
export interface Techniques {
  /** Of the moving average of the weights, from 0 to below 1 (average.ts). */
  readonly emaDecay: number;
  /** The size of the adversarial step on the word embeddings (adversary.ts). */
  readonly fgmEpsilon: number;
  /** Batches of a step (accumulation.ts). */
  readonly gradientAccumulation: number;
}

export const plainStep: Techniques = { emaDecay: 0, fgmEpsilon: 0, gradientAccumulation: 1 };
