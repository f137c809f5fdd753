/** Precision, recall and F1, as scikit-learn and seqeval have them with zero_division=0. */

export interface AverageScores {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

export interface ClassScores extends AverageScores {
  /** How many there truly are. */
  readonly support: number;
}

/** What scores are computed from: of a class, a type, an example or a sentence. */
export interface Counts {
  /** Predicted, and truly so. */
  readonly correct: number;
  readonly predicted: number;
  /** How many there truly are. */
  readonly support: number;
}

export const scoresOf = ({ correct, predicted, support }: Counts): AverageScores => ({
  precision: ratio(correct, predicted),
  recall: ratio(correct, support),
  f1: f1Of(correct, predicted, support),
});

export const classScoresOf = (counts: Counts): ClassScores => ({ ...scoresOf(counts), support: counts.support });

/** By the counts, which is exact where precision and recall are rounded. */
export const f1Of = (correct: number, predicted: number, support: number): number =>
  ratio(2 * correct, predicted + support);

export const addCounts = (counts: Iterable<Counts>): Counts => {
  let [correct, predicted, support] = [0, 0, 0];
  for (const one of counts) {
    correct += one.correct;
    predicted += one.predicted;
    support += one.support;
  }
  return { correct, predicted, support };
};

export const macroAverage = (scores: readonly AverageScores[]): AverageScores => average(scores, () => 1);

/** The mean weighted by support; zero where there is none. */
export const weightedAverage = (scores: readonly ClassScores[]): AverageScores =>
  average(scores, ({ support }) => support);

function average<T extends AverageScores>(scores: readonly T[], weightOf: (scores: T) => number): AverageScores {
  const total = sum(scores.map(weightOf));
  const mean = (of: (scores: T) => number): number => ratio(sum(scores.map((one) => of(one) * weightOf(one))), total);
  return { precision: mean((s) => s.precision), recall: mean((s) => s.recall), f1: mean((s) => s.f1) };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** 0 / 0 is 0. */
export const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
