import { assembleBatch, planBatches, type Batch } from '../data/batches.js';
import type { EncodedDataset } from '../data/encode.js';
import { classificationMetrics, type ClassificationMetrics } from '../metrics/classification.js';
import type { Bar } from '../ui/reporter.js';

/** What a model says of a data set, in the order of its file. */
export interface Predictions {
  /** Class number of the largest probability, [size]. */
  readonly classes: Int32Array;
  /** Row-major [size, labels]. */
  readonly probabilities: Float32Array;
  /** Mean cross entropy over the examples that have a label; NaN where none has. */
  readonly loss: number;
}

export interface Evaluation extends Predictions {
  readonly metrics: ClassificationMetrics;
}

/**
 * Lengths are padded to a multiple of this, in training too: few distinct shapes, for each of which TensorFlow prepares
 * its kernels.
 */
export const lengthMultiple = 8;

/** Examples of a batch that is only measured; one number, so that `t4 test` repeats what `t4 finetune` measured. */
const batchSize = 32;

/** Called after each batch with the number of examples done; false ends the evaluation. */
export type OnBatch = (done: number) => boolean | Promise<boolean>;

/**
 * Runs the model over a data set, sorted by length so that little is padding.
 *
 * @param predict logits of a batch, row-major [batch.size, labels]
 * @returns undefined where `onBatch` ended it
 */
export async function predictDataset(
  predict: (batch: Batch) => Float32Array,
  dataset: EncodedDataset,
  settings: { readonly numLabels: number; readonly padTokenId: number },
  onBatch: OnBatch = () => true,
): Promise<Predictions | undefined> {
  const { numLabels, padTokenId } = settings;
  const classes = new Int32Array(dataset.size);
  const probabilities = new Float32Array(dataset.size * numLabels);
  const plan = { batchSize, multipleOf: lengthMultiple, seed: 0, epoch: 0, shuffle: false, bucketByLength: true };
  let [lossSum, labelled, done] = [0, 0, 0];
  for (const indices of planBatches(dataset, plan)) {
    const logits = predict(assembleBatch(dataset, indices, { multipleOf: lengthMultiple, padTokenId }));
    indices.forEach((index, row) => {
      const scores = logits.subarray(row * numLabels, (row + 1) * numLabels);
      const target = probabilities.subarray(index * numLabels, (index + 1) * numLabels);
      const logSum = softmaxInto(target, scores);
      classes[index] = largest(scores);
      const label = dataset.labels[index]!;
      if (label >= 0) {
        lossSum += logSum - scores[label]!;
        labelled++;
      }
    });
    done += indices.length;
    if (!(await onBatch(done))) return undefined;
  }
  return { classes, probabilities, loss: labelled === 0 ? NaN : lossSum / labelled };
}

/** As predictDataset, with the metrics of labelled data. */
export async function evaluateDataset(
  predict: (batch: Batch) => Float32Array,
  dataset: EncodedDataset,
  settings: { readonly numLabels: number; readonly padTokenId: number },
  onBatch?: OnBatch,
): Promise<Evaluation | undefined> {
  const predictions = await predictDataset(predict, dataset, settings, onBatch);
  if (predictions === undefined) return undefined;
  return { ...predictions, metrics: classificationMetrics(dataset.labels, predictions.classes, settings.numLabels) };
}

/** As evaluateDataset, to the end and with a bar. */
export async function evaluateWithBar(
  predict: (batch: Batch) => Float32Array,
  dataset: EncodedDataset,
  settings: { readonly numLabels: number; readonly padTokenId: number },
  bar: Bar,
): Promise<Evaluation> {
  try {
    const evaluation = await evaluateDataset(predict, dataset, settings, (done) => {
      bar.update(done);
      return true;
    });
    if (evaluation === undefined) throw new Error('the evaluation was ended, and nobody asked for it');
    return evaluation;
  } finally {
    bar.stop();
  }
}

/** Writes softmax(scores) into target; returns log(sum(exp(scores))), computed in double precision. */
function softmaxInto(target: Float32Array, scores: Float32Array): number {
  const maximum = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  let sum = 0;
  for (const score of scores) sum += Math.exp(score - maximum);
  for (let i = 0; i < scores.length; i++) target[i] = Math.exp(scores[i]! - maximum) / sum;
  return maximum + Math.log(sum);
}

/** The position of the largest score, the first of equals. */
function largest(scores: Float32Array): number {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i;
  return best;
}
