import { adamWStep, isFusing } from '../graph/fused-ops.js';
import { attr, tf, type Tensor, type VariableScope } from '../graph/index.js';
import type { Optimizer } from './optimizer.js';

/** The constants of Adam's moments. */
export interface AdamSettings {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** Whether the moments' start from 0 is made up for; absent: true. Google's BERT does not (`optimization.py`). */
  readonly biasCorrection?: boolean;
}

/** The names of a variable's two moments, which are those of Google's checkpoints. */
export const momentNames = (variable: string): [first: string, second: string] => [
  `${variable}/adam_m`,
  `${variable}/adam_v`,
];

/**
 * What turns the moments m, v of step t (from 1) into Adam's direction: `scale` * m / (sqrt(v) + `epsilon`). torch has
 * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon); both are multiplied by sqrt(1 - beta2^t), which gives
 * TensorFlow's form. The betas are rounded to float32 first, as the kernel uses them: 1 - beta2 would differ by 1e-5 otherwise.
 */
export function adamDirection(settings: AdamSettings, t: number): { scale: number; epsilon: number } {
  if (settings.biasCorrection === false) return { scale: 1, epsilon: settings.epsilon };
  const correction = Math.sqrt(1 - Math.fround(settings.beta2) ** t);
  return {
    scale: correction / (1 - Math.fround(settings.beta1) ** t),
    epsilon: settings.epsilon * correction,
  };
}

/**
 * AdamW (Loshchilov and Hutter, arXiv:1711.05101, in torch's order): the weight is decayed first, by
 * 1 - learning rate * weight decay, then the Adam step is taken.
 */
export function adamW(settings: AdamSettings): Optimizer<'stepSize' | 'epsilon' | 'decayFactor'> {
  return {
    state: (weight) => momentNames(weight.name).map((name) => ({ ...weight, name })),
    factorNames: ['stepSize', 'epsilon', 'decayFactor'],
    factors(learningRate, t) {
      const { scale, epsilon } = adamDirection(settings, t);
      return { stepSize: learningRate * scale, epsilon, decayFactor: 1 - learningRate * settings.weightDecay };
    },
    apply(variables, updates, factors, gradientFactor) {
      const one = tf.scalar(1);
      for (const { name, gradient, decayed } of updates) {
        const decayFactor = decayed ? factors.decayFactor : one;
        variables.inTurn(() => {
          if (isFusing()) {
            variables.replace([name, ...momentNames(name)], (state) =>
              adamWStep(state, gradient, { ...factors, gradientFactor, decayFactor }, settings),
            );
          } else
            stepOfTensorFlow(variables, name, settings, { ...factors, decayFactor }, tf.mul(gradient, gradientFactor));
        });
      }
    },
  };
}

function stepOfTensorFlow(
  variables: VariableScope,
  name: string,
  { beta1, beta2, weightDecay }: AdamSettings,
  { stepSize, epsilon, decayFactor }: Readonly<Record<'stepSize' | 'epsilon' | 'decayFactor', Tensor>>,
  gradient: Tensor,
): void {
  if (weightDecay !== 0) variables.assign(name, tf.mul(variables.read(name), decayFactor));
  const zero = tf.scalar(0);
  // With both powers 0 the kernel's own bias correction is 1: it is in the factors.
  variables.update(
    'ResourceApplyAdam',
    { T: attr.type('float32'), use_locking: attr.bool(false), use_nesterov: attr.bool(false) },
    [name, ...momentNames(name)],
    [zero, zero, stepSize, tf.scalar(beta1), tf.scalar(beta2), epsilon, gradient],
  );
}
