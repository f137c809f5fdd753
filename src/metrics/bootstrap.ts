import { createRandom } from '../data/random.js';
import { accuracyOf, macroF1Of, matthewsOf, type ConfusionMatrix } from './classification.js';
import { percentile } from './percentile.js';
import { f1Of, type Counts } from './scores.js';

/**
 * 95 % intervals by the percentile bootstrap (Efron 1979): the examples are drawn again, as many as there are and with
 * replacement, the metric is computed of each such resample, and the interval holds the middle 95 % of its values.
 *
 * The same counts give the same interval on every machine, since the seed is fixed.
 */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

export interface BootstrapSettings {
  /** How many times the examples are drawn again. */
  readonly resamples?: number;
  readonly seed?: number;
}

/** With these, another seed moves a bound by some hundredths of the interval's width. */
export const defaultResamples = 1000;

export interface ClassificationIntervals {
  readonly accuracy: Interval;
  /** A class that a resample has not drawn counts 0 there, as an absent class does in the metric itself. */
  readonly macroF1: Interval;
  readonly mcc: Interval;
}

/** The intervals of what a confusion matrix tells; zero without examples. */
export function classificationIntervals(
  confusion: ConfusionMatrix,
  settings: BootstrapSettings = {},
): ClassificationIntervals {
  const { labels, predictions } = examplesOf(confusion);
  const margins = {
    correct: new Float64Array(confusion.length),
    predicted: new Float64Array(confusion.length),
    support: new Float64Array(confusion.length),
  };
  const { correct, predicted, support } = margins;
  const [accuracy, macroF1, mcc] = intervals(settings, (random) => {
    for (const counts of [correct, predicted, support]) counts.fill(0);
    for (let left = labels.length; left > 0; left--) {
      const drawn = random(labels.length);
      const label = labels[drawn]!;
      const prediction = predictions[drawn]!;
      support[label]! += 1;
      predicted[prediction]! += 1;
      if (label === prediction) correct[label]! += 1;
    }
    return [accuracyOf(margins), macroF1Of(margins), matthewsOf(margins)];
  });
  return { accuracy: accuracy!, macroF1: macroF1!, mcc: mcc! };
}

/** Label and prediction of each example, in the order of the matrix: which example is which makes no difference. */
function examplesOf(confusion: ConfusionMatrix): { labels: Uint32Array; predictions: Uint32Array } {
  const size = confusion.flat().reduce((sum, count) => sum + count, 0);
  const [labels, predictions] = [new Uint32Array(size), new Uint32Array(size)];
  let end = 0;
  confusion.forEach((row, label) => {
    row.forEach((count, prediction) => {
      labels.fill(label, end, end + count);
      predictions.fill(prediction, end, end + count);
      end += count;
    });
  });
  return { labels, predictions };
}

/**
 * The interval of a micro F1; zero where nothing is counted.
 *
 * @param counts of each sentence (see sentenceCounts) or example: what is drawn again
 */
export function microF1Interval(counts: readonly Counts[], settings: BootstrapSettings = {}): Interval {
  const drawn = columnsOf(counts);
  const [interval] = intervals(settings, (random) => {
    let [correct, predicted, support] = [0, 0, 0];
    for (let left = counts.length; left > 0; left--) {
      const one = random(counts.length);
      correct += drawn.correct[one]!;
      predicted += drawn.predicted[one]!;
      support += drawn.support[one]!;
    }
    return [f1Of(correct, predicted, support)];
  });
  return interval!;
}

/**
 * The interval of how much higher the micro F1 of `first` is, of two models on the same sentences: they are drawn
 * together, so that what makes a sentence easy for both cancels out.
 *
 * @param second of as many sentences
 */
export function microF1GainInterval(
  first: readonly Counts[],
  second: readonly Counts[],
  settings: BootstrapSettings = {},
): Interval {
  if (first.length !== second.length) {
    throw new Error(`microF1GainInterval: ${first.length} sentences, but ${second.length} of the other model`);
  }
  const [a, b] = [columnsOf(first), columnsOf(second)];
  const [interval] = intervals(settings, (random) => {
    let [correctA, correctB, countedA, countedB] = [0, 0, 0, 0];
    for (let left = first.length; left > 0; left--) {
      const one = random(first.length);
      correctA += a.correct[one]!;
      correctB += b.correct[one]!;
      countedA += a.predicted[one]! + a.support[one]!;
      countedB += b.predicted[one]! + b.support[one]!;
    }
    return [f1Of(correctA, countedA, 0) - f1Of(correctB, countedB, 0)];
  });
  return interval!;
}

/** Typed columns: reading them 1000 times over is what takes the time. */
function columnsOf(counts: readonly Counts[]): { [key in keyof Counts]: Float64Array } {
  return {
    correct: Float64Array.from(counts, ({ correct }) => correct),
    predicted: Float64Array.from(counts, ({ predicted }) => predicted),
    support: Float64Array.from(counts, ({ support }) => support),
  };
}

/** @param measure the metrics of one resample, always as many; `random(n)` draws one of n */
function intervals(
  { resamples = defaultResamples, seed = 0 }: BootstrapSettings,
  measure: (random: (n: number) => number) => readonly number[],
): Interval[] {
  const random = createRandom(seed);
  const rows = Array.from({ length: resamples }, () => measure(random));
  const columns = rows[0]!.map((_, column) => Float64Array.from(rows, (row) => row[column]!).sort());
  return columns.map((values) => ({ low: percentile(values, 2.5), high: percentile(values, 97.5) }));
}
