import {
  addCounts,
  classScoresOf,
  f1Of,
  macroAverage,
  ratio,
  scoresOf,
  weightedAverage,
  type AverageScores,
  type ClassScores,
  type Counts,
} from './scores.js';

/** Examples that have any number of labels, none among them. */
export interface MultiLabelMetrics {
  readonly examples: number;
  /** share of the examples all of whose labels are right: what scikit-learn calls accuracy */
  readonly subsetAccuracy: number;
  /** share of the entries of the matrix that are wrong */
  readonly hammingLoss: number;
  /** over all entries */
  readonly micro: AverageScores;
  /** mean over the labels, those without examples included */
  readonly macro: AverageScores;
  /** mean over the labels, weighted by support */
  readonly weighted: AverageScores;
  /** mean over the examples: one without labels and without predictions counts 0 */
  readonly samples: AverageScores;
  readonly labels: readonly ClassScores[];
}

/**
 * Equal to scikit-learn's precision_recall_fscore_support(zero_division=0), accuracy_score and hamming_loss of binary
 * indicator matrices.
 *
 * @param labels row-major `[examples, numLabels]`, 1 where an example has the label, else 0
 * @param predictions the same of the model
 */
export function multiLabelMetrics(
  labels: ArrayLike<number>,
  predictions: ArrayLike<number>,
  numLabels: number,
): MultiLabelMetrics {
  const examples = exampleCounts(labels, predictions, numLabels);
  const perLabel = countAlong(labels, predictions, numLabels, (i) => i % numLabels).map(classScoresOf);
  const wrong = ({ correct, predicted, support }: Counts): number => predicted + support - 2 * correct;
  const all = addCounts(examples);
  return {
    examples: examples.length,
    subsetAccuracy: ratio(examples.filter((counts) => wrong(counts) === 0).length, examples.length),
    hammingLoss: ratio(wrong(all), labels.length),
    micro: scoresOf(all),
    macro: macroAverage(perLabel),
    weighted: weightedAverage(perLabel),
    samples: macroAverage(examples.map(scoresOf)),
    labels: perLabel,
  };
}

/** What each example adds to the micro average: what its bootstrap interval is drawn from. */
export function exampleCounts(labels: ArrayLike<number>, predictions: ArrayLike<number>, numLabels: number): Counts[] {
  if (labels.length !== predictions.length || labels.length % numLabels !== 0) {
    const got = `${labels.length} labels and ${predictions.length} predictions`;
    throw new Error(`multiLabelMetrics: ${got}, expected as many, and a multiple of ${numLabels}`);
  }
  return countAlong(labels, predictions, labels.length / numLabels, (i) => Math.floor(i / numLabels));
}

function countAlong(
  labels: ArrayLike<number>,
  predictions: ArrayLike<number>,
  size: number,
  placeOf: (entry: number) => number,
): Counts[] {
  const counts = Array.from({ length: size }, () => ({ correct: 0, predicted: 0, support: 0 }));
  for (let i = 0; i < labels.length; i++) {
    const place = counts[placeOf(i)]!;
    const label = binary(labels, i);
    const prediction = binary(predictions, i);
    place.support += label;
    place.predicted += prediction;
    place.correct += label * prediction;
  }
  return counts;
}

function binary(matrix: ArrayLike<number>, entry: number): number {
  const value = matrix[entry]!;
  if (value !== 0 && value !== 1) throw new Error(`multiLabelMetrics: entry ${entry} is ${value}, expected 0 or 1`);
  return value;
}

export interface Threshold {
  /** A label is given from this probability on. */
  readonly threshold: number;
  /** The micro F1 that it reaches. */
  readonly microF1: number;
}

/**
 * The one threshold for all labels with the highest micro F1. Of the thresholds that reach it the one nearest to 0.5
 * is taken: 0.5 itself where it is among them, else halfway between the two probabilities that it parts; of two that
 * are as near, the higher one.
 *
 * @param labels row-major `[examples, numLabels]`, 1 or 0
 * @param probabilities as many, 0 to 1
 */
export function chooseThreshold(labels: ArrayLike<number>, probabilities: ArrayLike<number>): Threshold {
  if (labels.length !== probabilities.length) {
    throw new Error(`chooseThreshold: ${labels.length} labels, but ${probabilities.length} probabilities`);
  }
  const descending = Float64Array.from(probabilities).sort().reverse();
  const ofLabels = Float64Array.from(probabilities)
    .filter((_, i) => binary(labels, i) === 1)
    .sort()
    .reverse();
  // Where nothing is right, 0.5 is as good as any.
  let best: Threshold = { threshold: 0.5, microF1: 0 };
  let correct = 0;
  for (let given = 1; given <= descending.length; given++) {
    const [last, next] = [descending[given - 1]!, descending[given] ?? 0];
    const isParted = given === descending.length || next < last;
    if (!isParted) continue;
    while (correct < ofLabels.length && ofLabels[correct]! >= last) correct++;
    const microF1 = f1Of(correct, given, ofLabels.length);
    const threshold = next < 0.5 && last >= 0.5 ? 0.5 : (last + next) / 2;
    const isNearer = Math.abs(threshold - 0.5) < Math.abs(best.threshold - 0.5);
    if (microF1 > best.microF1 || (microF1 === best.microF1 && isNearer)) best = { threshold, microF1 };
  }
  return best;
}
