import { quote } from '../data/problems.js';
import { listed } from '../data/read.js';
import { UserError } from '../errors.js';
import { crossEntropyLoss } from '../models/losses.js';
import type { Network } from '../models/network.js';
import { didYouMean } from '../nearest.js';
import type { TrainingConfig } from '../task/schema.js';

/**
 * What each label counts in the loss, by its id; undefined where all count the same.
 *
 * @param labels names by id
 * @param ids of the training examples, or of their words; -1 where there is none
 * @throws UserError 'usage' for a weight of a label that there is not
 */
export function classWeightsOf(
  { class_weights: weights }: Pick<TrainingConfig, 'class_weights'>,
  labels: readonly string[],
  ids: Iterable<number>,
): number[] | undefined {
  if (weights === undefined) return undefined;
  if (weights === 'auto') return balancedWeights(ids, labels.length);
  const known = new Map(labels.map((name, id) => [name, id]));
  for (const name of Object.keys(weights)) {
    if (known.has(name)) continue;
    throw new UserError(
      'usage',
      `training.class_weights: got the label ${quote(name)}, expected ${listed(known)}${didYouMean(name, labels)}`,
    );
  }
  return labels.map((label) => (Object.hasOwn(weights, label) ? weights[label]! : 1));
}

/**
 * scikit-learn's class_weight='balanced': examples / (classes * examples of the class), where only classes that have
 * examples count. One without any has no part in the loss: 0.
 */
export function balancedWeights(ids: Iterable<number>, numLabels: number): number[] {
  const counts = new Array<number>(numLabels).fill(0);
  let examples = 0;
  for (const id of ids) {
    if (id < 0) continue;
    counts[id]! += 1;
    examples++;
  }
  const classes = counts.filter((count) => count > 0).length;
  return counts.map((count) => (count === 0 ? 0 : examples / (classes * count)));
}

/** The network with the loss that a task asks for; its own where that is plain cross entropy. */
export function withLoss(
  network: Network,
  { label_smoothing: labelSmoothing, focal_gamma: focalGamma }: Pick<TrainingConfig, 'label_smoothing' | 'focal_gamma'>,
  classWeights: readonly number[] | undefined,
): Network {
  if (classWeights === undefined && labelSmoothing === 0 && focalGamma === 0) return network;
  return { ...network, loss: crossEntropyLoss({ classWeights, labelSmoothing, focalGamma }) };
}
