import {
  classScoresOf,
  f1Of,
  macroAverage,
  ratio,
  weightedAverage,
  type AverageScores,
  type ClassScores,
} from './scores.js';

export interface ClassificationMetrics {
  readonly examples: number;
  readonly accuracy: number;
  /** accuracy of always answering the most frequent label */
  readonly majorityAccuracy: number;
  /** the most frequent label's id; the lowest of several */
  readonly majorityClass: number;
  /** Matthews correlation coefficient, -1 to 1; 0 where all labels, or all predictions, are the same */
  readonly mcc: number;
  /** over all examples: where each has one label and one prediction, all three are the accuracy */
  readonly micro: AverageScores;
  /** mean over all classes, those without examples included */
  readonly macro: AverageScores;
  /** mean over all classes, weighted by support */
  readonly weighted: AverageScores;
  readonly classes: readonly ClassScores[];
  /** [true class][predicted class], counts */
  readonly confusion: ConfusionMatrix;
}

export type ConfusionMatrix = readonly (readonly number[])[];

type ClassCounts = readonly number[] | Float64Array;

/** What a confusion matrix says of each class: `[classes]` each. Accuracy, F1 and MCC need no more than this. */
export interface Margins {
  /** examples of the class that are predicted to be of it: the diagonal */
  readonly correct: ClassCounts;
  /** examples predicted to be of the class: sums of the columns */
  readonly predicted: ClassCounts;
  /** examples of the class: sums of the rows */
  readonly support: ClassCounts;
}

/**
 * Equal to scikit-learn's precision_recall_fscore_support(labels=range(numClasses), zero_division=0), accuracy_score
 * and matthews_corrcoef.
 * @param labels true class ids
 * @param predictions predicted class ids, as many
 */
export function classificationMetrics(
  labels: ArrayLike<number>,
  predictions: ArrayLike<number>,
  numClasses: number,
): ClassificationMetrics {
  const confusion = confusionMatrix(labels, predictions, numClasses);
  const { correct, predicted, support } = marginsOf(confusion);
  const classes = support.map((count, id) =>
    classScoresOf({ correct: correct[id]!, predicted: predicted[id]!, support: count }),
  );
  const accuracy = accuracyOf({ correct, support });
  const most = Math.max(0, ...support);
  return {
    examples: labels.length,
    accuracy,
    majorityAccuracy: ratio(most, labels.length),
    majorityClass: Math.max(0, support.indexOf(most)),
    mcc: matthewsOf({ correct, predicted, support }),
    micro: { precision: accuracy, recall: accuracy, f1: accuracy },
    macro: macroAverage(classes),
    weighted: weightedAverage(classes),
    classes,
    confusion,
  };
}

function confusionMatrix(labels: ArrayLike<number>, predictions: ArrayLike<number>, numClasses: number): number[][] {
  if (labels.length !== predictions.length) {
    throw new Error(`classificationMetrics: ${labels.length} labels, but ${predictions.length} predictions`);
  }
  const confusion = Array.from({ length: numClasses }, () => new Array<number>(numClasses).fill(0));
  for (let i = 0; i < labels.length; i += 1) {
    const row = confusion[labels[i]!];
    const predicted = predictions[i]!;
    if (row?.[predicted] === undefined) {
      throw new Error(`classificationMetrics: label ${labels[i]!}, prediction ${predicted}, but ${numClasses} classes`);
    }
    row[predicted] += 1;
  }
  return confusion;
}

function marginsOf(confusion: ConfusionMatrix): { [key in keyof Margins]: number[] } {
  return {
    correct: confusion.map((row, id) => row[id]!),
    predicted: confusion.map((_, id) => total(confusion.map((row) => row[id]!))),
    support: confusion.map(total),
  };
}

export const accuracyOf = ({ correct, support }: Pick<Margins, 'correct' | 'support'>): number =>
  ratio(total(correct), total(support));

/** Mean over all classes: one that is neither there nor predicted has an F1 of 0. */
export function macroF1Of({ correct, predicted, support }: Margins): number {
  let f1 = 0;
  for (let id = 0; id < support.length; id++) f1 += f1Of(correct[id]!, predicted[id]!, support[id]!);
  return ratio(f1, support.length);
}

/**
 * Matthews correlation of several classes (Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006), in the order of
 * scikit-learn's arithmetic.
 */
export function matthewsOf({ correct, predicted, support }: Margins): number {
  const examples = total(support);
  const together = total(correct) * examples - dot(support, predicted);
  const ofPredictions = examples ** 2 - dot(predicted, predicted);
  const ofLabels = examples ** 2 - dot(support, support);
  return ratio(together, Math.sqrt(ofPredictions * ofLabels));
}

function total(values: ClassCounts): number {
  let all = 0;
  for (const value of values) all += value;
  return all;
}

function dot(a: ClassCounts, b: ClassCounts): number {
  let all = 0;
  for (let i = 0; i < a.length; i++) all += a[i]! * b[i]!;
  return all;
}
