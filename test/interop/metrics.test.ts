import { expect } from 'chai';
import { z } from 'zod';
import { createRandom } from '../../src/data/random.js';
import { classificationIntervals, microF1GainInterval, microF1Interval } from '../../src/metrics/bootstrap.js';
import { classificationMetrics } from '../../src/metrics/classification.js';
import { mcnemarTest } from '../../src/metrics/mcnemar.js';
import { chooseThreshold, multiLabelMetrics } from '../../src/metrics/multi-label.js';
import { percentile } from '../../src/metrics/percentile.js';
import type { Counts } from '../../src/metrics/scores.js';
import {
  classificationSchema,
  expectClassification,
  expectMultiLabel,
  multiLabelSchema,
} from '../support/scikit-learn.js';
import { askPython } from './python.js';

const intervalSchema = z.object({ low: z.number(), high: z.number() });
const answerSchema = z.object({
  classification: z.array(classificationSchema),
  multi_label: z.array(multiLabelSchema.extend({ best_micro_f1: z.number() })),
  mcnemar: z.array(z.number()),
  percentiles: z.array(z.array(z.number())),
  intervals: z.object({
    accuracy: intervalSchema,
    macro_f1: intervalSchema,
    mcc: intervalSchema,
    micro_f1: intervalSchema,
    gain: intervalSchema,
  }),
});

type Random = (n: number) => number;
const listOf = <T>(length: number, make: (i: number) => T): T[] => Array.from({ length }, (_, i) => make(i));

interface ClassCase {
  classes: number;
  labels: number[];
  predictions: number[];
}

/** Few examples of many classes, so that classes are missing; every eighth case is of one kind of degeneration. */
function classCase(number: number): ClassCase {
  const random = createRandom(17, number);
  const classes = 1 + random(8);
  const size = number % 8 === 0 ? 1 : 1 + random(number % 5 === 0 ? 500 : 30);
  const label = number % 8 === 1 ? () => 0 : () => random(1 + random(classes));
  const labels = listOf(size, label);
  const noise = random(5);
  const answers: readonly ((truth: number) => number)[] = [
    (truth) => truth,
    () => classes - 1,
    (truth) => (truth === 0 ? classes - 1 : truth),
    (truth) => (truth + 1) % classes,
  ];
  const degenerate = answers[Math.floor(number / 8) % answers.length]!;
  const predict = number % 8 === 2 ? degenerate : (truth: number) => (random(5) < noise ? random(classes) : truth);
  return { classes, labels, predictions: labels.map(predict) };
}

interface LabelCase {
  labels: number[][];
  predictions: number[][];
  probabilities: number[][];
}

/** Matrices of 0 and 1, some without a single 1; the probabilities are few, so that many are equal. */
function labelCase(number: number): LabelCase {
  const random = createRandom(19, number);
  const numLabels = 2 + random(5);
  const size = number % 8 === 0 ? 1 : 1 + random(40);
  const matrix = (entry: () => number): number[][] => listOf(size, () => listOf(numLabels, entry));
  const share = number % 8 === 1 ? 0 : 1 + random(9);
  const labels = matrix(() => (random(10) < share ? 1 : 0));
  const noise = random(6);
  const guess = (truth: number): number => (random(10) < noise ? 1 - truth : truth);
  const predictions = number % 8 === 2 ? matrix(() => 0) : labels.map((row) => row.map(guess));
  const steps = number % 3 === 0 ? 4 : 1000;
  const probabilities = labels.map((row) => row.map((truth) => (random(steps) + truth * random(steps)) / (2 * steps)));
  return { labels, predictions, probabilities };
}

const mcnemarCase = (random: Random): [number, number] => {
  const most = [3, 13, 40, 2000][random(4)]!;
  return [random(most), random(most)];
};

const countsCase = (random: Random, quality: number): Counts[] =>
  listOf(300, () => {
    const support = random(4);
    const correct = Math.min(support, random(quality));
    return { correct, predicted: correct + random(2), support };
  });

const confusion = [
  [300, 40, 10, 3],
  [30, 200, 20, 2],
  [5, 30, 120, 4],
  [2, 1, 3, 30],
];

describe('metrics beside scikit-learn, scipy and numpy', () => {
  const random = createRandom(23);
  const classes = listOf(200, classCase);
  const labels = listOf(200, labelCase);
  const edges = [
    [0, 0],
    [24, 0],
    [25, 0],
    [12, 12],
    [12, 13],
    [13, 13],
    [3000, 1],
  ] as const;
  const discordant = [...edges, ...listOf(200, () => mcnemarCase(random))];
  const numbers = listOf(50, () => listOf(1 + random(60), () => random(1_000_000) / 999));
  // The same sentences of two models: what is true of them must be the same.
  const counts = countsCase(random, 4);
  const other = counts.map(({ support, correct, predicted }, i) =>
    i % 3 === 0 ? { support, correct: Math.max(0, correct - 1), predicted } : { support, correct, predicted },
  );
  const columns = (list: readonly Counts[]) => list.map((one) => [one.correct, one.predicted, one.support]);
  let answer: z.infer<typeof answerSchema>;

  before(() => {
    const request = {
      classification: classes,
      multi_label: labels,
      mcnemar: discordant,
      percentiles: numbers,
      intervals: { resamples: 10_000, confusion, counts: columns(counts), other: columns(other) },
    };
    answer = askPython('metrics.py', request, answerSchema);
  });

  it('are the same of 200 random sets of labels, and printed the same', () => {
    expect(answer.classification).to.have.length(200);
    answer.classification.forEach((expected, i) => {
      const { classes: numClasses, labels: truth, predictions } = classes[i]!;
      const names = listOf(numClasses, (id) => `label ${id}`);
      expectClassification(classificationMetrics(truth, predictions, numClasses), names, expected);
    });
    const correlations = answer.classification.map(({ mcc }) => mcc);
    expect(correlations.filter((mcc) => mcc === 0).length).to.be.above(20);
    expect(correlations.filter((mcc) => mcc < 0).length).to.be.above(5);
    expect(correlations.filter((mcc) => mcc > 0 && mcc < 1).length).to.be.above(50);
  });

  it('are the same of 200 random sets of several labels, and printed the same', () => {
    expect(answer.multi_label).to.have.length(200);
    answer.multi_label.forEach((expected, i) => {
      const { labels: truth, predictions } = labels[i]!;
      const names = listOf(truth[0]!.length, (id) => `label ${id}`);
      expectMultiLabel(multiLabelMetrics(truth.flat(), predictions.flat(), names.length), names, expected);
    });
  });

  it('the chosen threshold reaches the highest micro F1 of all thresholds', () => {
    answer.multi_label.forEach(({ best_micro_f1: best }, i) => {
      const { labels: truth, probabilities } = labels[i]!;
      const { threshold, microF1 } = chooseThreshold(truth.flat(), probabilities.flat());
      expect(microF1).to.be.closeTo(best, 1e-12);
      const given = probabilities.flat().map((probability) => (probability >= threshold ? 1 : 0));
      const { micro } = multiLabelMetrics(truth.flat(), given, truth[0]!.length);
      expect(micro.f1, `threshold ${threshold}`).to.be.closeTo(best, 1e-12);
    });
  });

  it("McNemar's p is scipy's", () => {
    discordant.forEach(([first, second], i) => {
      const expected = answer.mcnemar[i]!;
      expect(mcnemarTest(first, second).p, `${first} and ${second}`).to.be.closeTo(expected, 1e-11 * expected);
    });
  });

  it("percentiles are numpy's", () => {
    numbers.forEach((values, i) => {
      const sorted = Float64Array.from(values).sort();
      expect([2.5, 50, 95, 97.5].map((percent) => percentile(sorted, percent))).to.deep.equal(answer.percentiles[i]);
    });
  });

  it('bootstrap intervals are those of other random numbers, but for the chance in them', () => {
    const { accuracy, macroF1, mcc } = classificationIntervals(confusion);
    const pairs = [
      [accuracy, answer.intervals.accuracy],
      [macroF1, answer.intervals.macro_f1],
      [mcc, answer.intervals.mcc],
      [microF1Interval(counts), answer.intervals.micro_f1],
      [microF1GainInterval(counts, other), answer.intervals.gain],
    ] as const;
    for (const [{ low, high }, expected] of pairs) {
      const width = expected.high - expected.low;
      expect(width).to.be.above(0);
      // Of 1000 values, the 25th from an end strays by about 0.02 of the width (one standard deviation).
      expect(low).to.be.closeTo(expected.low, 0.08 * width);
      expect(high).to.be.closeTo(expected.high, 0.08 * width);
    }
  });
});
