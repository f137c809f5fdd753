import { attr, tf, type Tensor, type VariableScope } from '../graph/index.js';
import { addN, l2Loss } from '../graph/ops.js';

/** AdamW's constants. Defaults are PyTorch's (`torch.optim.AdamW`), but for the decay, which is the task's. */
export interface AdamWSettings {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** Whether the moments' start from 0 is made up for; absent: true. Google's BERT does not (`optimization.py`). */
  readonly biasCorrection?: boolean;
}

/** What changes from step to step: scalars, computed in double precision on the host. */
export interface AdamWFactors {
  /** learning rate * sqrt(1 - beta2^t) / (1 - beta1^t); without bias correction the learning rate */
  readonly stepSize: number;
  /** epsilon * sqrt(1 - beta2^t); without bias correction epsilon */
  readonly epsilon: number;
  /** 1 - learning rate * weight decay */
  readonly decayFactor: number;
}

/**
 * The factors of step t (from 1). torch computes theta -= rate / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + epsilon);
 * multiplying numerator and denominator by sqrt(1 - beta2^t) gives TensorFlow's m / (sqrt(v) + epsilon').
 * beta2 is rounded to float32 first, as the kernel uses it: 1 - beta2 would differ by 1e-5 otherwise.
 */
export function adamWFactors(settings: AdamWSettings, learningRate: number, t: number): AdamWFactors {
  const decayFactor = 1 - learningRate * settings.weightDecay;
  if (settings.biasCorrection === false) return { stepSize: learningRate, epsilon: settings.epsilon, decayFactor };
  const correction = Math.sqrt(1 - Math.fround(settings.beta2) ** t);
  return {
    stepSize: (learningRate * correction) / (1 - Math.fround(settings.beta1) ** t),
    epsilon: settings.epsilon * correction,
    decayFactor,
  };
}

/** The names of the two moments of a variable. */
export const momentNames = (variable: string): [first: string, second: string] => [
  `${variable}/adam_m`,
  `${variable}/adam_v`,
];

/**
 * One AdamW update of every variable (Loshchilov and Hutter, arXiv:1711.05101, in torch's order): the weight is
 * decayed first, then the Adam step is taken. `gradients` have their variables' shapes.
 */
export function applyAdamW(
  variables: VariableScope,
  gradients: readonly { name: string; gradient: Tensor; decayed: boolean }[],
  settings: AdamWSettings,
  factors: { readonly [factor in keyof AdamWFactors]: Tensor },
): void {
  const zero = tf.scalar(0);
  const [beta1, beta2] = [tf.scalar(settings.beta1), tf.scalar(settings.beta2)];
  for (const { name, gradient, decayed } of gradients) {
    variables.inTurn(() => {
      if (decayed && settings.weightDecay !== 0) {
        variables.assign(name, tf.mul(variables.read(name), factors.decayFactor));
      }
      // With both powers 0 the kernel's own bias correction is 1: it is in the factors.
      variables.update(
        'ResourceApplyAdam',
        { T: attr.type('float32'), use_locking: attr.bool(false), use_nesterov: attr.bool(false) },
        [name, ...momentNames(name)],
        [zero, zero, factors.stepSize, beta1, beta2, factors.epsilon, gradient],
      );
    });
  }
}

/** sqrt of the sum of squares over all tensors together, a scalar. */
export function globalNorm(tensors: readonly Tensor[]): Tensor {
  return tf.sqrt(tf.mul(addN(tensors.map(l2Loss)), 2));
}

/** Scales the tensors by min(1, maxNorm / (norm + 1e-6)), as `torch.nn.utils.clip_grad_norm_` does. */
export function clipByGlobalNorm(tensors: readonly Tensor[], norm: Tensor, maxNorm: number): Tensor[] {
  const factor = tf.minimum(tf.div(maxNorm, tf.add(norm, 1e-6)), 1);
  return tensors.map((tensor) => tf.mul(tensor, factor));
}
