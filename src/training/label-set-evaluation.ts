import type { Batch } from '../data/batches.js';
import type { EncodedDataset } from '../data/encode.js';
import type { LabelSetExample } from '../data/example.js';
import { lazy } from '../lazy.js';
import { microF1Interval } from '../metrics/bootstrap.js';
import { chooseThreshold, exampleCounts, multiLabelMetrics } from '../metrics/multi-label.js';
import { multiLabelReport } from '../metrics/report.js';
import {
  runBatches,
  type Evaluation,
  type EvaluationSet,
  type OnBatch,
  type Predict,
  type PredictSettings,
} from './evaluate.js';
import type { Outputs } from './trainer.js';

/** A label is given from this probability on where no dev data has said better. */
export const defaultThreshold = 0.5;

/** What a model says of one example that may have any number of labels. */
export interface LabelSetAnswer {
  /** In the order of their ids. */
  readonly labels: readonly string[];
  readonly probabilities: Readonly<Record<string, number>>;
}

export interface LabelSetPredictions {
  /** Row-major [size, labels]. */
  readonly probabilities: Float32Array;
  /** Mean binary cross entropy over all entries; NaN where no example has labels. */
  readonly loss: number;
}

export function labelSetAnswer(
  { probabilities }: LabelSetPredictions,
  example: number,
  labels: readonly string[],
  threshold: number,
): LabelSetAnswer {
  const scores = probabilities.subarray(example * labels.length, (example + 1) * labels.length);
  return {
    labels: labels.filter((_, id) => scores[id]! >= threshold),
    probabilities: Object.fromEntries(labels.map((label, id) => [label, scores[id]!])),
  };
}

/**
 * The probability of each label of each example, each by itself.
 *
 * @returns undefined where `onBatch` ended it
 */
export async function predictLabelSets(
  predict: Predict,
  dataset: EncodedDataset,
  settings: PredictSettings,
  onBatch?: OnBatch,
): Promise<LabelSetPredictions | undefined> {
  const { numLabels, padTokenId } = settings;
  const probabilities = new Float32Array(dataset.size * numLabels);
  let [lossSum, labelled] = [0, 0];
  const visit = ({ indices }: Batch, { logits }: Outputs): void => {
    indices.forEach((index, row) => {
      for (let id = 0; id < numLabels; id++) {
        const logit = logits[row * numLabels + id]!;
        const entry = index * numLabels + id;
        probabilities[entry] = 1 / (1 + Math.exp(-logit));
        const label = dataset.labelled === 'label-set' ? dataset.labels[entry]! : -1;
        if (label < 0) continue;
        lossSum += binaryCrossEntropy(logit, label);
        labelled++;
      }
    });
  };
  const isWhole = await runBatches(predict, dataset, padTokenId, visit, onBatch);
  return isWhole ? { probabilities, loss: labelled === 0 ? NaN : lossSum / labelled } : undefined;
}

/** Of a logit against 0 or 1, in double precision: no logit is too large. */
const binaryCrossEntropy = (logit: number, label: number): number =>
  Math.max(logit, 0) - logit * label + Math.log1p(Math.exp(-Math.abs(logit)));

/**
 * Texts with any number of labels each: precision, recall and F1 of the labels.
 *
 * @param texts what predictions are to say of each example besides its line; absent: nothing
 * @param threshold absent: the one with the best micro F1 on these very examples
 */
export function labelSetExamples(
  dataset: EncodedDataset,
  labels: readonly string[],
  padTokenId: number,
  texts: readonly LabelSetExample[] = [],
  threshold?: number,
): EvaluationSet {
  const settings = { numLabels: labels.length, padTokenId };
  return {
    dataset,
    size: dataset.size,
    async evaluate(predict, onBatch) {
      const predictions = await predictLabelSets(predict, dataset, settings, onBatch);
      if (predictions === undefined) return undefined;
      const from = threshold ?? chooseThreshold(dataset.labels, predictions.probabilities).threshold;
      return evaluationOf(texts, dataset, labels, predictions, from);
    },
    withThreshold: (given) => labelSetExamples(dataset, labels, padTokenId, texts, given),
  };
}

function evaluationOf(
  texts: readonly LabelSetExample[],
  dataset: EncodedDataset,
  labels: readonly string[],
  predictions: LabelSetPredictions,
  threshold: number,
): Evaluation {
  const given = Uint8Array.from(predictions.probabilities, (probability) => (probability >= threshold ? 1 : 0));
  const metrics = multiLabelMetrics(dataset.labels, given, labels.length);
  const { micro, macro, weighted, samples, subsetAccuracy, hammingLoss } = metrics;
  const { loss } = predictions;
  // Not for every evaluation of a run: a thousand resamples take a while.
  const interval = lazy(() => microF1Interval(exampleCounts(dataset.labels, given, labels.length)));
  return {
    loss,
    scores: { micro_f1: micro.f1, macro_f1: macro.f1, subset_accuracy: subsetAccuracy },
    baseline: {},
    threshold,
    headline: `micro F1 ${micro.f1.toFixed(4)}, macro F1 ${macro.f1.toFixed(4)}`,
    against: '',
    report: () =>
      `${multiLabelReport(metrics, labels, interval())}\n\nlabels are given from probability ${threshold.toFixed(4)} on`,
    details: () => ({
      loss,
      threshold,
      micro,
      macro,
      weighted,
      samples,
      subset_accuracy: subsetAccuracy,
      hamming_loss: hammingLoss,
      intervals: { micro_f1: interval() },
      classes: Object.fromEntries(metrics.labels.map((scores, id) => [labels[id]!, scores])),
      labels,
    }),
    *predictions() {
      for (let i = 0; i < dataset.size; i++) {
        const row = dataset.labels.subarray(i * labels.length, (i + 1) * labels.length);
        yield {
          line: dataset.lines?.[i],
          ...textOf(texts[i]),
          gold: row[0]! < 0 ? undefined : labels.filter((_, id) => row[id] === 1),
          ...labelSetAnswer(predictions, i, labels, threshold),
        };
      }
    },
  };
}

const textOf = (example: LabelSetExample | undefined) => (example === undefined ? {} : { text: example.text });
