/**
 * Equal to numpy.percentile with its default, linear interpolation between neighbours.
 *
 * @param sorted ascending, not empty
 * @param percent 0 to 100
 */
export function percentile(sorted: ArrayLike<number>, percent: number): number {
  if (sorted.length === 0) throw new Error('percentile: no values');
  const position = (percent / 100) * (sorted.length - 1);
  const before = Math.min(Math.floor(position), sorted.length - 1);
  const [low, high] = [sorted[before]!, sorted[Math.min(before + 1, sorted.length - 1)]!];
  const share = position - before;
  // From the nearer neighbour, as numpy does: no rounding leads past it.
  return share < 0.5 ? low + (high - low) * share : high - (high - low) * (1 - share);
}
