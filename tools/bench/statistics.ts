export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The smallest and the largest ratio of two sides' medians, by round. */
export function rangeOfRatios(
  ours: readonly (readonly number[])[],
  theirs: readonly (readonly number[])[],
): [smallest: number, largest: number] {
  const ratios = ours.map((round, i) => median(round) / median(theirs[i]!));
  return [Math.min(...ratios), Math.max(...ratios)];
}
