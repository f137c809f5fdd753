import { lengthOf, type EncodedDataset } from './encode.js';

export interface TokenPlan {
  /** The most tokens of a batch, padding included; an example that is longer by itself is a batch of its own. */
  readonly tokens: number;
  /** Lengths are padded to it. */
  readonly multipleOf: number;
}

/**
 * Batches for a pass that only measures or predicts: the examples by falling length, so that a batch too large for the
 * memory fails at once, and as many in each as its tokens allow. Many short texts, or few long ones, keep the same share
 * of the processor's caches busy.
 *
 * @returns indices into the dataset, one array a batch; each example is in exactly one
 */
export function planTokenBatches(dataset: EncodedDataset, { tokens, multipleOf }: TokenPlan): Int32Array[] {
  const padded = (i: number): number => Math.ceil(lengthOf(dataset, i) / multipleOf) * multipleOf;
  // Typed arrays are sorted stably: equals keep the order of the file.
  const order = Int32Array.from({ length: dataset.size }, (_, i) => i).sort((i, j) => padded(j) - padded(i));
  const batches: Int32Array[] = [];
  for (let start = 0; start < order.length;) {
    const count = Math.max(1, Math.floor(tokens / padded(order[start]!)));
    batches.push(order.slice(start, start + count));
    start += count;
  }
  return batches;
}
