export interface McNemarTest {
  /** Below 25 examples that tell the models apart exact, from there on approximate. */
  readonly method: 'exact binomial' | 'chi-square';
  /** The smaller of the two counts, or chi-square with one degree of freedom. */
  readonly statistic: number;
  /** How likely counts at least this unequal are where neither model is better (two-sided). */
  readonly p: number;
}

const fewestApproximated = 25;

/**
 * McNemar's test (Psychometrika 12, 1947) of two models on the same examples: whether those that only one of them gets
 * right are divided more unequally than by chance.
 *
 * Exact with less than 25 of them, else by chi-square with Edwards' continuity correction, which does not go below 0.
 *
 * @param onlyFirst examples that the first model alone gets right
 * @param onlySecond those that the second alone gets right
 */
export function mcnemarTest(onlyFirst: number, onlySecond: number): McNemarTest {
  const discordant = onlyFirst + onlySecond;
  const fewer = Math.min(onlyFirst, onlySecond);
  if (discordant < fewestApproximated) {
    return { method: 'exact binomial', statistic: fewer, p: Math.min(1, 2 * halvesAtMost(fewer, discordant)) };
  }
  const statistic = Math.max(0, Math.abs(onlyFirst - onlySecond) - 1) ** 2 / discordant;
  // The square of a standard normal number is beyond x as often as the number itself is beyond sqrt(x), both ways.
  return { method: 'chi-square', statistic, p: erfc(Math.sqrt(statistic / 2)) };
}

/** How likely `trials` throws of a coin show heads at most `most` times. */
function halvesAtMost(most: number, trials: number): number {
  let ways = 1;
  let sum = 1;
  for (let heads = 1; heads <= most; heads++) {
    ways = (ways * (trials - heads + 1)) / heads;
    sum += ways;
  }
  return sum / 2 ** trials;
}

/**
 * The complementary error function, 2/sqrt(pi) times the integral of exp(-t^2) from x on; right to 12 digits.
 * @param x not negative
 */
function erfc(x: number): number {
  const scale = Math.exp(-x * x) / Math.sqrt(Math.PI);
  if (x < 2) {
    // erf(x) by its series without cancellation (Abramowitz and Stegun 7.1.6)
    let term = 2 * x;
    let series = 0;
    for (let n = 1; term > 1e-17; n++) {
      series += term;
      term *= (2 * x * x) / (2 * n + 1);
    }
    return 1 - scale * series;
  }
  // its continued fraction (7.1.14), from the tail
  let fraction = x;
  for (let n = 120; n >= 1; n--) fraction = x + n / 2 / fraction;
  return scale / fraction;
}
