import { tf, type Tensor } from '../graph/index.js';
import { differentiable, sparseSoftmaxCrossEntropy } from '../graph/ops.js';

/** Letters: B batch, N labelled things, C classes. */

/** Mean cross entropy of logits [B, C] against class numbers (int32 [B]) -> scalar. */
export function meanCrossEntropy(logits: Tensor, labels: Tensor): Tensor {
  return differentiable(
    [logits],
    (save) => {
      const { losses, gradient } = sparseSoftmaxCrossEntropy(logits, labels);
      save([gradient]);
      return tf.mean(losses);
    },
    (dy, [gradient]) => [tf.mul(gradient!, tf.div(dy, logits.shape[0]))],
  );
}

/**
 * Mean cross entropy of logits [N, C] over those of the labels (int32, N in all) that are not -1 -> scalar, as PyTorch's
 * `CrossEntropyLoss(ignore_index=-1)` has it; 0 where all are.
 */
export function meanLabelledCrossEntropy(logits: Tensor, labels: Tensor): Tensor {
  const flat = tf.reshape(labels, [-1]);
  const isLabelled = tf.cast(tf.greaterEqual(flat, tf.scalar(0, 'int32')), 'float32');
  const shares = tf.div(isLabelled, tf.maximum(tf.sum(isLabelled), 1));
  return differentiable(
    [logits],
    (save) => {
      const { losses, gradient } = sparseSoftmaxCrossEntropy(logits, tf.maximum(flat, tf.scalar(0, 'int32')));
      save([tf.mul(gradient, tf.expandDims(shares, 1))]);
      return tf.sum(tf.mul(losses, shares));
    },
    (dy, [gradient]) => [tf.mul(gradient!, dy)],
  );
}

export interface CrossEntropySettings {
  /** What each class counts, [C]; undefined: all the same. */
  readonly classWeights: readonly number[] | undefined;
  /** The share of a target that is spread over all classes, its own among them. 0: none. */
  readonly labelSmoothing: number;
  /** Focal loss: how much less counts what is nearly right. 0: none; not together with labelSmoothing. */
  readonly focalGamma: number;
}

/** The loss of each row [N], not divided by anything, and its gradient with respect to the logits [N, C]. */
interface RowLosses {
  readonly losses: Tensor;
  readonly gradient: Tensor;
}

/** Keeps a division by a sum of weights finite where nothing is labelled, and smaller than any sum that is meant. */
const smallest = 1e-30;

/**
 * Mean cross entropy of logits [N, C] against class numbers (int32, N in all; -1: none), where the mean is weighted by
 * the weights of the classes that are right: PyTorch's `CrossEntropyLoss(weight, ignore_index=-1, label_smoothing)`. Of
 * the focal loss (Lin et al. 2017, arXiv:1708.02002), whose alpha are the weights, it is the same mean, so that it meets
 * cross entropy at gamma 0.
 *
 * @returns a function of logits and labels -> scalar; 0 where there is no label
 */
export function crossEntropyLoss(settings: CrossEntropySettings): (logits: Tensor, labels: Tensor) => Tensor {
  const { classWeights, labelSmoothing, focalGamma } = settings;
  if (labelSmoothing > 0 && focalGamma > 0) throw new RangeError('label smoothing has no meaning in a focal loss');
  return (logits, labels) => {
    const classes = logits.shape[1]!;
    const weights = tf.tensor1d(classWeights ? [...classWeights] : new Array<number>(classes).fill(1));
    const flat = tf.reshape(labels, [-1]);
    const none = tf.scalar(0, 'int32');
    const targets = tf.maximum(flat, none);
    const targetWeights = tf.mul(tf.gather(weights, targets), tf.cast(tf.greaterEqual(flat, none), 'float32')); // [N]
    const isLabelled = tf.cast(tf.greaterEqual(flat, none), 'float32');
    const total = tf.maximum(tf.sum(targetWeights), smallest);
    return differentiable(
      [logits],
      (save) => {
        const { losses, gradient } =
          focalGamma > 0
            ? focalRows(logits, targets, targetWeights, focalGamma)
            : smoothedRows(logits, targets, targetWeights, weights, labelSmoothing);
        const shares = tf.div(isLabelled, total);
        save([tf.mul(gradient, tf.expandDims(shares, 1))]);
        return tf.sum(tf.mul(losses, shares));
      },
      (dy, [gradient]) => [tf.mul(gradient!, dy)],
    );
  };
}

/** -alpha (1 - p)^gamma log p of the right class, where its probability is p. */
function focalRows(logits: Tensor, targets: Tensor, alpha: Tensor, gamma: number): RowLosses {
  const { losses: entropy, gradient } = sparseSoftmaxCrossEntropy(logits, targets);
  const rest = tf.neg(tf.expm1(tf.neg(entropy))); // 1 - p
  const scale = tf.mul(alpha, tf.pow(rest, gamma));
  // The derivative by log p, over -scale: p log p / (1 - p) goes to -1 where p is 1.
  const slope = tf.add(1, tf.mul(gamma, tf.div(tf.mul(tf.sub(1, rest), entropy), tf.maximum(rest, smallest))));
  return { losses: tf.mul(scale, entropy), gradient: tf.mul(gradient, tf.expandDims(tf.mul(scale, slope), 1)) };
}

/**
 * (1 - s) w_y log p_y + s / C sum_c(w_c log p_c), times -1. Since log p_c is log p_y + z_c - z_y, the fused op has all
 * that is to be computed of the softmax.
 */
function smoothedRows(
  logits: Tensor,
  targets: Tensor,
  targetWeights: Tensor,
  weights: Tensor,
  smoothing: number,
): RowLosses {
  const { losses: entropy, gradient } = sparseSoftmaxCrossEntropy(logits, targets);
  const own = tf.mul(targetWeights, 1 - smoothing);
  if (smoothing === 0) return { losses: tf.mul(own, entropy), gradient: tf.mul(gradient, tf.expandDims(own, 1)) };
  const classes = logits.shape[1]!;
  const allWeights = tf.sum(weights);
  const counted = tf.add(own, tf.mul(allWeights, smoothing / classes)); // [N]
  const isTarget = tf.cast(tf.oneHot(targets, classes), 'float32'); // [N, C]
  const targetLogits = tf.sum(tf.mul(logits, isTarget), -1, true); // [N, 1]
  const behind = tf.sum(tf.mul(tf.sub(targetLogits, logits), weights), -1); // [N]
  const pull = tf.mul(tf.sub(tf.mul(isTarget, allWeights), weights), smoothing / classes);
  return {
    losses: tf.add(tf.mul(counted, entropy), tf.mul(behind, smoothing / classes)),
    gradient: tf.add(tf.mul(gradient, tf.expandDims(counted, 1)), pull),
  };
}

/**
 * Mean over all entries of the cross entropy of sigmoids: PyTorch's `BCEWithLogitsLoss`.
 *
 * @param logits [B, C]
 * @param labels int32 [B, C]: 1 where an example has the label, else 0
 * @returns a scalar
 */
export function meanBinaryCrossEntropy(logits: Tensor, labels: Tensor): Tensor {
  const targets = tf.cast(labels, 'float32');
  return differentiable(
    [logits],
    (save) => {
      save([tf.sub(tf.sigmoid(logits), targets)]);
      // softplus(z) - z y, and softplus(z) is max(z, 0) + log(1 + exp(-|z|)).
      const tail = tf.log1p(tf.exp(tf.neg(tf.abs(logits))));
      return tf.mean(tf.add(tf.sub(tf.relu(logits), tf.mul(logits, targets)), tail));
    },
    (dy, [difference]) => [tf.mul(difference!, tf.div(tf.div(dy, logits.shape[0]), logits.shape[1]!))],
  );
}
