import { tf, type Tensor, type Variable, type VariableScope } from '../graph/index.js';
import { isFusing, l2Loss as fusedL2Loss } from '../graph/fused-ops.js';
import { l2Loss } from '../graph/ops.js';

/** A weight that a step changes. */
export interface WeightUpdate {
  readonly name: string;
  /** Of the weight's shape. */
  readonly gradient: Tensor;
  /** Whether weight decay applies to it (models/variables.ts). */
  readonly decayed: boolean;
}

/** How gradients change weights: one file for each kind. All of it is float32. */
export interface Optimizer<Factor extends string = string> {
  /** The variables that are kept of a weight from step to step; all begin with zeros. */
  state(weight: Variable): Variable[];
  readonly factorNames: readonly Factor[];
  /** What changes from step to step, computed in double precision on the host. @param t the step, from 1 */
  factors(learningRate: number, t: number): Readonly<Record<Factor, number>>;
  /**
   * One update of every weight.
   *
   * @param factors scalars
   * @param gradientFactor what all gradients are multiplied by first, a scalar
   */
  apply(
    variables: VariableScope,
    updates: readonly WeightUpdate[],
    factors: Readonly<Record<Factor, Tensor>>,
    gradientFactor: Tensor,
  ): void;
}

/** The input of the graph's step that a factor is fed to. */
export const factorInput = (factor: string): string => `optimizer_${factor}`;

/** sqrt of the sum of squares over all tensors together, a scalar. */
export function globalNorm(tensors: readonly Tensor[]): Tensor {
  // Not AddN: it begins with an input that nobody else holds any more, and who still holds the latest is a matter of threads,
  // so that the same step would have other last digits from run to run.
  return tf.sqrt(tf.mul(tf.sum(tf.stack(tensors.map(isFusing() ? fusedL2Loss : l2Loss))), 2));
}

/** min(1, maxNorm / (norm + 1e-6)), which gradients of that norm are multiplied by in `torch.nn.utils.clip_grad_norm_`. */
export const clipFactor = (norm: Tensor, maxNorm: number): Tensor => tf.minimum(tf.div(maxNorm, tf.add(norm, 1e-6)), 1);
