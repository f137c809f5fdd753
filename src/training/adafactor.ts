import { attr, tf, type Tensor, type Variable, type VariableScope } from '../graph/index.js';
import { globalNorm, type Optimizer } from './optimizer.js';

export interface AdafactorSettings {
  /** Decay of the average of the steps; 0: none is kept. */
  readonly beta1: number;
  /** The root mean square that a variable's step has at most, before it is multiplied by the learning rate. */
  readonly clipThreshold: number;
  /** Whether the learning rate of a variable is a share of the root mean square of its values. */
  readonly scaleParameter: boolean;
  readonly weightDecay: number;
}

/** The paper's constants: added to squares of gradients; the least root mean square of a variable that a rate is a share of. */
const [epsilon1, epsilon2] = [1e-30, 1e-3];

/**
 * Adafactor (Shazeer and Stern 2018, arXiv:1804.04235), as transformers' `Adafactor` has it with `relative_step=False`: the
 * learning rate is the schedule's. Of a matrix's squared gradients only the means of rows and columns are kept:
 *
 *   share(t) = t^-0.8
 *   rows <- rows + share(t) * (mean over columns of (g^2 + epsilon1) - rows), columns likewise
 *   u = g / sqrt(rows * columns / mean(rows)), of a vector g / sqrt(v), both divided by max(1, RMS(u) / clip threshold)
 *   w <- w - rate * u - weight decay * rate * w
 *
 * where `rate` is the learning rate, with `scaleParameter` times max(epsilon2, RMS(w)). With `beta1`, rate * u is averaged
 * from step to step first.
 */
export function adafactor(settings: AdafactorSettings): Optimizer<'rate' | 'share'> {
  return {
    state: (weight) => stateOf(weight, settings),
    factorNames: ['rate', 'share'],
    factors: (learningRate, t) => ({ rate: learningRate, share: t ** -0.8 }),
    apply(variables, updates, factors, gradientFactor) {
      for (const { name, gradient: whole, decayed } of updates) {
        variables.inTurn(() => {
          const gradient = tf.mul(whole, gradientFactor);
          const weight = variables.read(name);
          const rate = settings.scaleParameter ? tf.mul(factors.rate, scaleOf(weight)) : factors.rate;
          const normalized = normalize(variables, name, gradient, factors.share);
          const clipped = tf.div(normalized, tf.maximum(tf.div(rootMeanSquare(normalized), settings.clipThreshold), 1));
          const step =
            settings.beta1 > 0 ? averaged(variables, name, tf.mul(clipped, rate), settings.beta1) : undefined;
          const attrs = { T: attr.type('float32'), use_locking: attr.bool(false) };
          const move = (by: Tensor, times: Tensor): void => {
            variables.update('ResourceApplyGradientDescent', attrs, [name], [times, by]);
          };
          if (decayed && settings.weightDecay !== 0) move(weight, tf.mul(rate, settings.weightDecay));
          if (step === undefined) move(clipped, rate);
          else move(step, tf.scalar(1));
        });
      }
    },
  };
}

const names = {
  rows: (variable: string): string => `${variable}/adafactor_rows`,
  columns: (variable: string): string => `${variable}/adafactor_columns`,
  squares: (variable: string): string => `${variable}/adafactor_squares`,
  average: (variable: string): string => `${variable}/adafactor_average`,
};

function stateOf(weight: Variable, { beta1 }: AdafactorSettings): Variable[] {
  const { name, shape } = weight;
  const averages = beta1 > 0 ? [{ ...weight, name: names.average(name) }] : [];
  if (shape.length < 2) return [{ ...weight, name: names.squares(name) }, ...averages];
  return [
    { ...weight, name: names.rows(name), shape: shape.slice(0, -1) },
    { ...weight, name: names.columns(name), shape: [...shape.slice(0, -2), shape.at(-1)!] },
    ...averages,
  ];
}

/** The gradient divided by the root of what its squares are about; takes them into what is kept. */
function normalize(variables: VariableScope, variable: string, gradient: Tensor, share: Tensor): Tensor {
  const keep = (name: string, value: Tensor): Tensor => {
    const former = variables.read(name);
    const kept = tf.add(former, tf.mul(tf.sub(value, former), share));
    variables.assign(name, kept);
    return kept;
  };
  const squares = tf.add(tf.square(gradient), epsilon1);
  if (gradient.rank < 2) return tf.mul(gradient, tf.rsqrt(keep(names.squares(variable), squares)));
  const rows = keep(names.rows(variable), tf.mean(squares, -1));
  const columns = keep(names.columns(variable), tf.mean(squares, -2));
  // Not rows / mean(rows): of a row without gradients that may be less than float32 can hold.
  const byRow = tf.mul(tf.rsqrt(rows), tf.sqrt(tf.mean(rows, -1, true)));
  return tf.mul(tf.mul(gradient, tf.expandDims(byRow, -1)), tf.expandDims(tf.rsqrt(columns), -2));
}

function averaged(variables: VariableScope, variable: string, step: Tensor, beta: number): Tensor {
  const former = variables.read(names.average(variable));
  const average = tf.add(former, tf.mul(tf.sub(step, former), 1 - beta));
  variables.assign(names.average(variable), average);
  return average;
}

const rootMeanSquare = (tensor: Tensor): Tensor => tf.div(globalNorm([tensor]), Math.sqrt(tensor.size));

const scaleOf = (weight: Tensor): Tensor => tf.maximum(rootMeanSquare(weight), epsilon2);
