import * as fused from '../graph/fused-ops.js';
import {
  biasAdd,
  biasAddGrad as biasAddGradOfTensorFlow,
  bitwiseAnd,
  differentiable,
  matMul,
  opaque,
  runAfter,
  sparseSoftmaxCrossEntropy,
  statelessRandomInts,
} from '../graph/ops.js';
import { tf, type Tensor, type Tensor1D } from '../graph/index.js';

/**
 * What the models share. Letters: B batch, S sequence, N = B * S tokens, H hidden, A heads, D head size.
 * Gradients are written by hand: fewer ops than tfjs derives, and none that allocates by a symbolic shape.
 */

const biasAddGrad = (dy: Tensor): Tensor => (fused.isFusing() ? fused.biasGrad(dy) : biasAddGradOfTensorFlow(dy));

/** Reads a variable by its name. */
export type Weights = (name: string) => Tensor;

/** What one forward pass goes through the model with. */
export interface Pass {
  readonly weights: Weights;
  readonly dropout: Dropout;
  /** Whether there is a gradient, for which some things pay that do not where there is none; absent: no. */
  readonly hasGradient?: boolean;
  /** Whether layers keep nothing but their inputs for the backward pass, which computes them again; absent: no. */
  readonly recompute?: boolean;
}

/** x [N, in] times kernel [in, out] plus bias [out] -> [N, out]. */
export function dense(x: Tensor, kernel: Tensor, bias: Tensor): Tensor {
  return differentiable(
    [x, kernel, bias],
    (save) => {
      save([x, kernel]);
      return biasAdd(matMul(x, kernel), bias);
    },
    (dy, [input, weight]) => [matMul(dy, weight!, false, true), matMul(input!, dy, true, false), biasAddGrad(dy)],
  );
}

/** Normalises over the last axis: (x - mean) / sqrt(variance + epsilon) * gamma + beta (arXiv:1607.06450). x [N, H]. */
export function layerNorm(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: number): Tensor {
  if (fused.isFusing()) return fusedLayerNorm([x], gamma, beta, epsilon);
  return differentiable(
    [x, gamma, beta],
    (save) => {
      const centred = tf.sub(x, tf.mean(x, -1, true));
      const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), epsilon));
      const normal = tf.mul(centred, inverse);
      save([normal, inverse, gamma]);
      // Where nothing else needs `normal`, TensorFlow would multiply gamma and inverse first: other roundings where layers
      // are computed again than where they are kept.
      return tf.add(tf.mul(opaque(normal), gamma), beta);
    },
    (dy, [normal, inverse, scale]) => {
      const dNormal = tf.mul(dy, scale!);
      const mean = tf.mean(dNormal, -1, true);
      const projection = tf.mul(normal!, tf.mean(tf.mul(dNormal, normal!), -1, true));
      const dx = tf.mul(tf.sub(tf.sub(dNormal, mean), projection), inverse!);
      return [dx, biasAddGrad(tf.mul(dy, normal!)), biasAddGrad(dy)];
    },
  );
}

/** LayerNorm of x + residual, both [N, H]. */
export function addLayerNorm(x: Tensor, residual: Tensor, gamma: Tensor, beta: Tensor, epsilon: number): Tensor {
  if (fused.isFusing()) return fusedLayerNorm([x, residual], gamma, beta, epsilon);
  return layerNorm(tf.add(x, residual), gamma, beta, epsilon);
}

/** LayerNorm of the sum of one or two tensors. */
function fusedLayerNorm(terms: readonly [Tensor, Tensor?], gamma: Tensor, beta: Tensor, epsilon: number): Tensor {
  const [x, residual] = terms;
  const summed = residual === undefined ? [x] : [x, residual];
  return differentiable(
    [...summed, gamma, beta],
    (save) => {
      const { y, normal, inverse } = fused.layerNorm(x, residual, gamma, beta, epsilon);
      save([normal, inverse, gamma]);
      return y;
    },
    (dy, [normal, inverse, scale]) => {
      const [dx, dGamma, dBeta] = fused.layerNormGrad(dy, normal!, inverse!, scale!);
      // A tensor object each: tfjs disposes of the one when it has added to it.
      return [...summed.map((_, i) => (i === 0 ? dx : tf.clone(dx))), dGamma, dBeta];
    },
  );
}

/** Softmax over the last axis, any rank. */
export function softmax(x: Tensor): Tensor {
  return differentiable(
    [x],
    (save) => {
      const y = tf.softmax(x);
      save([y]);
      return y;
    },
    (dy, [y]) => {
      const product = tf.mul(dy, y!);
      return [tf.sub(product, tf.mul(y!, tf.sum(product, -1, true)))];
    },
  );
}

/** Rows of `table` [V, H] for ids [B, S] (int32) -> [N, H]. The table's gradient is dense, rows of equal ids summed. */
export function embedding(table: Tensor, ids: Tensor): Tensor {
  return differentiable(
    [table],
    (save) => {
      const flat = tf.reshape(ids, [-1]);
      save([flat]);
      return tf.gather(table, flat);
    },
    (dy, [flat]) => [tf.unsortedSegmentSum(dy, flat as Tensor1D, table.shape[0])],
  );
}

/** The first `length` rows of a position table [P, H] -> [S, H]. */
export function firstRows(table: Tensor, length: number): Tensor {
  const [rows, width] = [table.shape[0], table.shape[1]!];
  return differentiable(
    [table],
    () => tf.slice(table, [0, 0], [length, width]),
    (dy) => [
      tf.pad(dy, [
        [0, rows - length],
        [0, 0],
      ]),
    ],
  );
}

/** x [N, width] times the rows of a table [V, width] -> [N, V]: how near each x is to each row. */
export function similarities(x: Tensor, table: Tensor): Tensor {
  return differentiable(
    [x, table],
    (save) => {
      save([x, table]);
      return matMul(x, table, false, true);
    },
    (dy, [input, rows]) => [matMul(dy, rows!), matMul(dy, input!, true, false)],
  );
}

/** x [N, in] times a matrix [in, out] -> [N, out]. */
export function product(x: Tensor, matrix: Tensor): Tensor {
  return differentiable(
    [x, matrix],
    (save) => {
      save([x, matrix]);
      return matMul(x, matrix);
    },
    (dy, [input, factor]) => [matMul(dy, factor!, false, true), matMul(input!, dy, true, false)],
  );
}

/** x plus a bias [n] on its last axis. */
export function addBias(x: Tensor, bias: Tensor): Tensor {
  return differentiable(
    [x, bias],
    () => biasAdd(x, bias),
    (dy) => [dy, biasAddGrad(dy)],
  );
}

/** x times a constant. */
export function scale(x: Tensor, factor: number): Tensor {
  return differentiable(
    [x],
    () => tf.mul(x, factor),
    (dy) => [tf.mul(dy, factor)],
  );
}

/**
 * Dot-product attention with the weights of all heads at once (arXiv:1706.03762): each has H / A columns of its own, and
 * its scores are divided by the square root of that.
 *
 * @param query [B * Q, H]
 * @param key, value [B * S, H]
 * @param bias added to the scores before the softmax, [B, 1, 1, S]: 0 for a real token, very negative for padding
 * @param heads A
 * @param dropout of the probabilities, at the rate given
 * @returns [B * Q, H]
 */
export function attention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  bias: Tensor,
  heads: number,
  dropout: Dropout,
  rate: number,
): Tensor {
  if (fused.isFusing()) return fusedAttention(query, key, value, bias, heads, dropout, rate);
  const [batch, hidden] = [bias.shape[0], query.shape[1]!];
  const size = hidden / heads;
  const split = (x: Tensor): Tensor =>
    tf.transpose(tf.reshape(x, [batch, x.shape[0] / batch, heads, size]), [0, 2, 1, 3]); // [B, A, Q or S, D]
  // Scaled here and not after the product: a query is narrower than its scores where sequences are long.
  const scores = similaritiesOfHeads(split(scale(query, 1 / Math.sqrt(size))), split(key)); // [B, A, Q, S]
  const context = weightedSum(softmax(tf.add(scores, bias)), split(value), dropout, rate);
  return tf.reshape(tf.transpose(context, [0, 2, 1, 3]), [query.shape[0], hidden]);
}

function fusedAttention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  bias: Tensor,
  heads: number,
  dropout: Dropout,
  rate: number,
): Tensor {
  const { settings, seed } = fusedSettings(query.shape[1]!, heads, dropout, rate);
  const inputs = [query, key, value, bias, seed] as const;
  return differentiable(
    [query, key, value],
    (save) => {
      const { context, statistics } = fused.attention(inputs, settings);
      save([...inputs, statistics]);
      return context;
    },
    (dy, [q, k, v, b, s, statistics]) => fused.attentionGrad(dy, [q!, k!, v!, b!, s!], statistics!, settings),
  );
}

function fusedSettings(hidden: number, heads: number, dropout: Dropout, rate: number) {
  const seed = dropout.nextSeed(rate);
  const threshold = seed === undefined ? 0 : thresholdOf(rate);
  return {
    settings: { heads, scale: Math.sqrt(heads / hidden), threshold },
    seed: seed ?? tf.tensor1d([0, 0], 'int32'),
  };
}

/**
 * Whether `joinedAttention` can be had, and pays: to put the kernels side by side costs a copy of them, which a large batch
 * is worth.
 */
export const joinsAttention = ({ hasGradient }: Pass): boolean => hasGradient === true && fused.isFusing();

/** Kernels [H, H] and biases [H] of query, key and value. */
export type Three = readonly [query: Tensor, key: Tensor, value: Tensor];

/**
 * `attention` of states to themselves, whose query, key and value are one product.
 *
 * @param states [N, H]
 * @returns [N, H]
 */
export function joinedAttention(
  states: Tensor,
  kernels: Three,
  biases: Three,
  bias: Tensor,
  heads: number,
  dropout: Dropout,
  rate: number,
): Tensor {
  const joined = dense(states, sideBySide(kernels), sideBySide(biases)); // [N, 3 H]
  const { settings, seed } = fusedSettings(states.shape[1]!, heads, dropout, rate);
  const inputs = [joined, bias, seed] as const;
  return differentiable(
    [joined],
    (save) => {
      const { context, statistics } = fused.joinedAttention(inputs, settings);
      save([...inputs, statistics]);
      return context;
    },
    (dy, [j, b, s, statistics]) => [fused.joinedAttentionGrad(dy, [j!, b!, s!], statistics!, settings)],
  );
}

const sideBySide = (parts: Three): Tensor =>
  differentiable(
    [...parts],
    () => fused.joinColumns(parts),
    (dy) => fused.splitColumns(dy),
  );

/** query [B, A, Q, D] times key [B, A, S, D] -> [B, A, Q, S]. */
const similaritiesOfHeads = (query: Tensor, key: Tensor): Tensor =>
  differentiable(
    [query, key],
    (save) => {
      save([query, key]);
      return tf.matMul(query, key, false, true);
    },
    (dy, [q, k]) => [tf.matMul(dy, k!), tf.matMul(dy, q!, true, false)],
  );

/**
 * Dropout of probabilities [B, A, Q, S], times value [B, A, S, D]. What is left of the probabilities is not kept for the
 * backward pass, which masks them again: they are the second largest tensors of a layer.
 */
const weightedSum = (probabilities: Tensor, value: Tensor, dropout: Dropout, rate: number): Tensor =>
  differentiable(
    [probabilities, value],
    (save) => {
      const { y, kept } = dropout.draw(probabilities, rate);
      save(kept === undefined ? [probabilities, value] : [probabilities, value, kept]);
      return tf.matMul(y, value);
    },
    (dy, [all, v, kept]) => {
      const masked = (x: Tensor): Tensor => (kept === undefined ? x : masking(rate).again(x, kept));
      const left = runAfter(dy, () => masked(all!));
      return [masked(tf.matMul(dy, v!, false, true)), tf.matMul(left, dy, true, false)];
    },
  );

/** Dropout of one forward pass: each call draws its own mask, a pure function of the seed and the call's number. */
export interface Dropout {
  (x: Tensor, rate: number): Tensor;
  /** The same without a gradient, and where it kept x, bool; undefined: everywhere. */
  readonly draw: (x: Tensor, rate: number) => { readonly y: Tensor; readonly kept: Tensor | undefined };
  /** For an op that draws the mask itself: the seed of the next call; undefined where nothing is dropped. */
  readonly nextSeed: (rate: number) => Tensor | undefined;
  /** Another one, whose calls from now on draw the masks of this one's calls from now on. */
  readonly copy: () => Dropout;
}

export const noDropout: Dropout = Object.assign((x: Tensor) => x, {
  draw: (x: Tensor) => ({ y: x, kept: undefined }),
  nextSeed: () => undefined,
  copy: () => noDropout,
});

/**
 * @param seed int32 [2]: the run's seed and the step, so that a resumed run repeats its masks exactly
 * @param firstCall how many calls there were before
 */
export function seededDropout(seed: Tensor, firstCall = 0): Dropout {
  let calls = firstCall;
  const nextSeed = (rate: number): Tensor | undefined => {
    if (rate === 0) return undefined;
    calls++;
    // Weyl steps keep the streams of the calls of one run away from those of a run with the next seed.
    return tf.add(seed, tf.tensor1d([Math.imul(calls, 0x9e3779b1), 0], 'int32'));
  };
  const draw: Dropout['draw'] = (x, rate) => {
    const callSeed = nextSeed(rate);
    return callSeed === undefined ? { y: x, kept: undefined } : masking(rate).draw(x, callSeed);
  };
  const dropout = (x: Tensor, rate: number): Tensor => {
    const callSeed = nextSeed(rate);
    if (callSeed === undefined) return x;
    return differentiable(
      [x],
      (save) => {
        const { y, kept } = masking(rate).draw(x, callSeed);
        save([kept]);
        return y;
      },
      (dy, [kept]) => [masking(rate).again(dy, kept!)],
    );
  };
  return Object.assign(dropout, { draw, nextSeed, copy: () => seededDropout(seed, calls) });
}

interface Masking {
  /** `kept`: bool, a quarter of the memory that a mask of floats takes. */
  readonly draw: (x: Tensor, seed: Tensor) => { readonly y: Tensor; readonly kept: Tensor };
  /** What a mask that was drawn leaves of x. */
  readonly again: (x: Tensor, kept: Tensor) => Tensor;
}

/** Of 65536 halves of random numbers, how many drop an element. */
const thresholdOf = (rate: number): number => Math.round(rate * 0x10000);

function masking(rate: number): Masking {
  const threshold = thresholdOf(rate);
  if (fused.isFusing()) {
    return {
      draw: (x, seed) => fused.dropout(x, seed, threshold, pairedAxis(x.shape)),
      again: (x, kept) => fused.dropoutGrad(x, kept, threshold),
    };
  }
  const masked = (values: Tensor, kept: Tensor): Tensor =>
    tf.mul(values, tf.mul(tf.cast(kept, 'float32'), 0x10000 / (0x10000 - threshold)));
  return {
    draw(x, seed) {
      const kept = runAfter(x, () => drawKept(x.shape, threshold, seed));
      return { y: masked(x, kept), kept };
    },
    // Without the wait the mask of floats would be made in the forward pass.
    again: (x, kept) => runAfter(x, () => masked(x, kept)),
  };
}

/** The axis whose halves share their random numbers. Hidden size or number of heads: even in nearly every model, and never symbolic. */
const pairedAxis = (shape: readonly number[]): number => (shape.length === 4 ? 1 : shape.length - 1);

/**
 * Which elements a dropout keeps, bool of the given shape: each with probability 1 - threshold / 65536. Drawing random
 * bits is a large part of what dropout costs, so the two halves of each 32-bit number decide on two elements.
 */
function drawKept(shape: readonly number[], threshold: number, seed: Tensor): Tensor {
  const draw = (drawn: readonly number[]): Tensor => statelessRandomInts(tf.tensor1d([...drawn], 'int32'), seed);
  // The upper half as a signed number lies in [-32768, 32767].
  const byUpperHalf = (bits: Tensor): Tensor =>
    tf.greaterEqual(bits, tf.scalar((threshold - 0x8000) * 0x10000, 'int32'));
  const byLowerHalf = (bits: Tensor): Tensor =>
    tf.greaterEqual(bitwiseAnd(bits, tf.scalar(0xffff, 'int32')), tf.scalar(threshold, 'int32'));
  const axis = pairedAxis(shape);
  const size = shape[axis]!;
  if (size % 2 !== 0) return byUpperHalf(draw(shape));
  const bits = draw(shape.map((dim, i) => (i === axis ? dim / 2 : dim)));
  return tf.concat([byUpperHalf(bits), byLowerHalf(bits)], axis);
}

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
