/** What scikit-learn calls precision, recall, f1-score and support, with zero_division=0. */
export interface ClassScores {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  /** examples whose true label is this class */
  readonly support: number;
}

export type AverageScores = Omit<ClassScores, 'support'>;

export interface ClassificationMetrics {
  readonly examples: number;
  readonly accuracy: number;
  /** accuracy of always answering the most frequent label */
  readonly majorityAccuracy: number;
  /** the most frequent label's id; the lowest of several */
  readonly majorityClass: number;
  /** mean over all classes, those without examples included */
  readonly macro: AverageScores;
  /** mean over all classes, weighted by support */
  readonly weighted: AverageScores;
  readonly classes: readonly ClassScores[];
  /** [true class][predicted class], counts */
  readonly confusion: readonly (readonly number[])[];
}

/**
 * Equal to scikit-learn's precision_recall_fscore_support(labels=range(numClasses), zero_division=0).
 * @param labels true class ids
 * @param predictions predicted class ids, as many
 */
export function classificationMetrics(
  labels: ArrayLike<number>,
  predictions: ArrayLike<number>,
  numClasses: number,
): ClassificationMetrics {
  const confusion = confusionMatrix(labels, predictions, numClasses);
  const classes = confusion.map((_, id) => classScores(confusion, id));
  const supports = classes.map(({ support }) => support);
  const examples = sum(supports);
  const right = sum(confusion.map((row, id) => row[id]!));
  const most = Math.max(0, ...supports);
  return {
    examples,
    accuracy: ratio(right, examples),
    majorityAccuracy: ratio(most, examples),
    majorityClass: Math.max(0, supports.indexOf(most)),
    macro: average(
      classes,
      classes.map(() => 1),
    ),
    weighted: average(classes, supports),
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

function classScores(confusion: readonly (readonly number[])[], id: number): ClassScores {
  const right = confusion[id]![id]!;
  const support = sum(confusion[id]!);
  const predicted = sum(confusion.map((row) => row[id]!));
  return {
    precision: ratio(right, predicted),
    recall: ratio(right, support),
    f1: ratio(2 * right, support + predicted),
    support,
  };
}

function average(classes: readonly ClassScores[], weights: readonly number[]): AverageScores {
  const total = sum(weights);
  const mean = (of: (scores: ClassScores) => number): number =>
    ratio(sum(classes.map((scores, id) => of(scores) * weights[id]!)), total);
  return { precision: mean((s) => s.precision), recall: mean((s) => s.recall), f1: mean((s) => s.f1) };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** 0 / 0 is 0, as scikit-learn has it with zero_division=0. */
function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
