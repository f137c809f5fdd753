import { assembleBatch, type Batch } from '../data/batches.js';
import type { EncodedDataset } from '../data/encode.js';
import { planTokenBatches } from '../data/token-batches.js';
import type { Outputs } from './trainer.js';
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

/** What was measured on labelled data: what every task says of it. */
export interface Evaluation {
  /** Mean cross entropy. */
  readonly loss: number;
  /** By the names that log.jsonl, metrics.json and `training.metric` have; larger is better. The first is the main one. */
  readonly scores: Readonly<Record<string, number>>;
  /** What the scores are to be seen against, by the names that metrics.json has. */
  readonly baseline: Readonly<Record<string, number>>;
  /** Of sets of labels: the probability from which on a label is given. */
  readonly threshold?: number;
  /** The main score in words, such as `accuracy 0.8825`. */
  readonly headline: string;
  /** The baseline in words; empty where there is none. */
  readonly against: string;
  /** The whole report, for a terminal, with 95 % confidence intervals. */
  report(): string;
  /** What test.json says of it, with 95 % confidence intervals. */
  details(): Readonly<Record<string, unknown>>;
  /** The lines of predictions.jsonl, in the order of the file. */
  predictions(): Iterable<Readonly<Record<string, unknown>>>;
}

export type Predict = (batch: Batch) => Outputs;

/** Labelled data, ready to be measured on. */
export interface EvaluationSet {
  /** What the model is fed: as many examples as `onBatch` counts to. */
  readonly dataset: EncodedDataset;
  /** Rows or sentences of the file. */
  readonly size: number;
  /** @returns undefined where `onBatch` ended it */
  evaluate(predict: Predict, onBatch?: OnBatch): Promise<Evaluation | undefined>;
  /** Of sets of labels: the same with a threshold that was chosen before. By itself the set chooses the best one. */
  withThreshold?(threshold: number): EvaluationSet;
}

/**
 * Lengths are padded to a multiple of this, in training too: few distinct shapes, for each of which TensorFlow prepares
 * its kernels.
 */
export const lengthMultiple = 8;

/**
 * The most tokens of a batch that is only measured or predicted; one number, so that `t4 test` repeats what `t4 finetune`
 * measured. A processor is fastest where what a layer computes stays in its caches, and where the weights are not made
 * bfloat16 for a few tokens: with MiniLM in bf16, texts of 25 tokens take a fifth less time than in batches of 32. A GPU is
 * fastest where it has much to do at once.
 */
const batchTokens = { cpu: 2048, gpu: 16_384 };

async function batchTokensHere(): Promise<number> {
  // Not above: what only shows answers, as the server does, uses this file too and must not load TensorFlow.
  const { nodeBackend } = await import('../graph/index.js');
  return batchTokens[nodeBackend.isUsingGpuDevice ? 'gpu' : 'cpu'];
}

/** Called after each batch with the number of examples done; false ends the evaluation. */
export type OnBatch = (done: number) => boolean | Promise<boolean>;

/** What a pass over a data set is told of its model. */
export interface PredictSettings {
  readonly numLabels: number;
  readonly padTokenId: number;
}

/**
 * Runs the model over a data set, sorted by length so that little is padding.
 *
 * @param visit gets each batch with what the model says of it; rows beyond those of `indices` are repetitions
 * @returns whether it came to the end: false where `onBatch` ended it
 */
export async function runBatches(
  predict: Predict,
  dataset: EncodedDataset,
  padTokenId: number,
  visit: (batch: Batch, outputs: Outputs) => void,
  onBatch: OnBatch = () => true,
): Promise<boolean> {
  let done = 0;
  const plan = { tokens: await batchTokensHere(), multipleOf: lengthMultiple };
  for (const { indices, rows } of planTokenBatches(dataset, plan)) {
    const batch = assembleBatch(dataset, indices, { multipleOf: lengthMultiple, padTokenId, rows });
    visit(batch, predict(batch));
    done += indices.length;
    if (!(await onBatch(done))) return false;
  }
  return true;
}

/**
 * The labels of a data set whose examples have one each.
 *
 * @returns undefined where `onBatch` ended it
 */
export async function predictDataset(
  predict: Predict,
  dataset: EncodedDataset,
  settings: PredictSettings,
  onBatch?: OnBatch,
): Promise<Predictions | undefined> {
  const { numLabels, padTokenId } = settings;
  const classes = new Int32Array(dataset.size);
  const probabilities = new Float32Array(dataset.size * numLabels);
  let [lossSum, labelled] = [0, 0];
  const visit = ({ indices }: Batch, { logits }: Outputs): void => {
    indices.forEach((index, row) => {
      const scores = logits.subarray(row * numLabels, (row + 1) * numLabels);
      softmaxInto(probabilities.subarray(index * numLabels, (index + 1) * numLabels), scores);
      classes[index] = largest(scores);
      const label = dataset.labels[index]!;
      if (label >= 0) {
        lossSum += crossEntropy(scores, label);
        labelled++;
      }
    });
  };
  const isWhole = await runBatches(predict, dataset, padTokenId, visit, onBatch);
  return isWhole ? { classes, probabilities, loss: labelled === 0 ? NaN : lossSum / labelled } : undefined;
}

/** Evaluates to the end, with a bar. */
export async function evaluateWithBar(predict: Predict, data: EvaluationSet, bar: Bar): Promise<Evaluation> {
  try {
    const evaluation = await data.evaluate(predict, (done) => {
      bar.update(done);
      return true;
    });
    if (evaluation === undefined) throw new Error('the evaluation was ended, and nobody asked for it');
    return evaluation;
  } finally {
    bar.stop();
  }
}

/** exp(scores - maximum) summed up, in double precision: no logit is too large. */
function sumOfExponentials(scores: Float32Array): { maximum: number; sum: number } {
  const maximum = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  let sum = 0;
  for (const score of scores) sum += Math.exp(score - maximum);
  return { maximum, sum };
}

/** Of logits against the class that is right. */
export function crossEntropy(scores: Float32Array, label: number): number {
  const { maximum, sum } = sumOfExponentials(scores);
  return maximum + Math.log(sum) - scores[label]!;
}

/** Writes softmax(scores) into target. */
function softmaxInto(target: Float32Array, scores: Float32Array): void {
  const { maximum, sum } = sumOfExponentials(scores);
  for (let i = 0; i < scores.length; i++) target[i] = Math.exp(scores[i]! - maximum) / sum;
}

/** The position of the largest score, the first of equals. */
export function largest(scores: Float32Array): number {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i;
  return best;
}
