import { percentile } from './percentile.js';

export interface Latency {
  readonly median: number;
  /** 95 of 100 took no longer. */
  readonly p95: number;
}

/**
 * Median and 95th percentile, as numpy.percentile computes them.
 *
 * @param times one a call, in any order and unit; not empty
 */
export function latencyOf(times: ArrayLike<number>): Latency {
  const sorted = Float64Array.from(times).sort();
  return { median: percentile(sorted, 50), p95: percentile(sorted, 95) };
}
