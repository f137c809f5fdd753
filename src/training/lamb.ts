import { attr, tf, type Tensor } from '../graph/index.js';
import { adamDirection, momentNames, type AdamSettings } from './adamw.js';
import { globalNorm, type Optimizer } from './optimizer.js';

/**
 * LAMB (You et al. 2020, arXiv:1904.00962, algorithm 2), as tensorflow_addons' `LAMB._resource_apply_dense` has it: Adam's
 * direction with the decay in it, as long as the variable itself:
 *
 *   r = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + weight decay * w,   w <- w - learning rate * ratio * r
 *   ratio = ||w|| / ||r||, and 1 where either is 0
 *
 * Without bias correction it is google-research/albert's `lamb_optimizer.py`. What is not decayed has no ratio either, by
 * both upstreams' `exclude_from_layer_adaptation`, which is `exclude_from_weight_decay` unless it is given.
 */
export function lamb(settings: AdamSettings): Optimizer<'rate' | 'scale' | 'epsilon'> {
  return {
    state: (weight) => momentNames(weight.name).map((name) => ({ ...weight, name })),
    factorNames: ['rate', 'scale', 'epsilon'],
    factors: (learningRate, t) => ({ rate: learningRate, ...adamDirection(settings, t) }),
    apply(variables, updates, { rate, scale, epsilon }, gradientFactor) {
      for (const { name, gradient: whole, decayed } of updates) {
        const [first, second] = momentNames(name);
        variables.inTurn(() => {
          const gradient = tf.mul(whole, gradientFactor);
          const m = moving(variables.read(first), gradient, settings.beta1);
          const v = moving(variables.read(second), tf.square(gradient), settings.beta2);
          variables.assign(first, m);
          variables.assign(second, v);
          const weight = variables.read(name);
          const adam = tf.div(tf.mul(m, scale), tf.add(tf.sqrt(v), epsilon));
          const direction = decayed ? tf.add(adam, tf.mul(weight, settings.weightDecay)) : adam;
          const stepSize = decayed ? tf.mul(rate, trustRatio(weight, direction)) : rate;
          const attrs = { T: attr.type('float32'), use_locking: attr.bool(false) };
          variables.update('ResourceApplyGradientDescent', attrs, [name], [stepSize, direction]);
        });
      }
    },
  };
}

/** average + (1 - beta) * (value - average), in which beta is rounded to float32 as in Adam's kernel. */
const moving = (average: Tensor, value: Tensor, beta: number): Tensor =>
  tf.add(average, tf.mul(tf.sub(value, average), 1 - Math.fround(beta)));

/** ||weight|| / ||direction||, a scalar; 1 where either is 0. */
function trustRatio(weight: Tensor, direction: Tensor): Tensor {
  const [length, steps] = [globalNorm([weight]), globalNorm([direction])];
  const isUsable = tf.logicalAnd(tf.greater(length, 0), tf.greater(steps, 0));
  return tf.where(isUsable, tf.div(length, steps), tf.onesLike(length));
}
