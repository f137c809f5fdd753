import { isFusing, moveAverage } from '../graph/fused-ops.js';
import { attr, tf, type Tensor, type VariableScope } from '../graph/index.js';

/**
 * The exponential moving average of the weights, which is what is evaluated, kept as the model and tested (Polyak and
 * Juditsky 1992; as TensorFlow's `ExponentialMovingAverage` and bert4keras have it). With decay d it is, after step t, the
 * mean of the weights w after each step, the newest of which count most:
 *
 *   average(t) = (1 - d) / (1 - d^t) * sum over i = 1..t of d^(t - i) * w(i)
 *
 * The divisor is bert4keras's correction for a start from 0: the weights before the first step, a random head among
 * them, have no part, so that the average is good after few steps too. What is kept is the corrected average itself:
 *
 *   average(t) = average(t - 1) + share(t) * (w(t) - average(t - 1)),   share(t) = (1 - d) / (1 - d^t)
 */
export const averageName = (variable: string): string => `${variable}/average`;

/** What the newest weights count in the average after step `t` (from 1); 1 after the first. */
export const averageShare = (decay: number, t: number): number => (1 - decay) / (1 - decay ** t);

/** Takes the present values of the variables into their averages. `share` is a scalar. */
export function updateAverages(variables: VariableScope, names: readonly string[], share: Tensor): void {
  for (const name of names) {
    variables.inTurn(() => {
      if (isFusing()) {
        const weight = variables.read(name);
        variables.replace([averageName(name)], ([average]) => [moveAverage(average!, weight, share)]);
        return;
      }
      // average -= share * difference, in place.
      const difference = tf.sub(variables.read(averageName(name)), variables.read(name));
      const attrs = { T: attr.type('float32'), use_locking: attr.bool(false) };
      variables.update('ResourceApplyGradientDescent', attrs, [averageName(name)], [share, difference]);
    });
  }
}
