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

/** Softmax over the last axis of scores [B, ..., S] plus a bias [B, 1, ..., S] that no gradient flows to. */
export function biasedSoftmax(scores: Tensor, bias: Tensor): Tensor {
  if (!fused.isFusing()) return softmax(tf.add(scores, bias));
  return differentiable(
    [scores],
    (save) => {
      const y = fused.softmax(scores, bias);
      save([y]);
      return y;
    },
    (dy, [y]) => [fused.softmaxGrad(dy, y!)],
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
 * Dot-product attention with the weights of all heads at once (arXiv:1706.03762).
 *
 * @param query [B, A, Q, D], divided by sqrt(D) already
 * @param key, value [B, A, S, D]
 * @param bias added to the scores before the softmax, [B, 1, 1, S]: 0 for a real token, very negative for padding
 * @param dropout of the probabilities, at the rate given
 * @returns [B, A, Q, D]
 */
export function attention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  bias: Tensor,
  dropout: Dropout,
  rate: number,
): Tensor {
  const scores = similaritiesOfHeads(query, key); // [B, A, Q, S]
  return weightedSum(biasedSoftmax(scores, bias), value, dropout, rate);
}

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
  /** Another one, whose calls from now on draw the masks of this one's calls from now on. */
  readonly copy: () => Dropout;
}

export const noDropout: Dropout = Object.assign((x: Tensor) => x, {
  draw: (x: Tensor) => ({ y: x, kept: undefined }),
  copy: () => noDropout,
});

/**
 * @param seed int32 [2]: the run's seed and the step, so that a resumed run repeats its masks exactly
 * @param firstCall how many calls there were before
 */
export function seededDropout(seed: Tensor, firstCall = 0): Dropout {
  let calls = firstCall;
  const nextSeed = (): Tensor => {
    calls++;
    // Weyl steps keep the streams of the calls of one run away from those of a run with the next seed.
    return tf.add(seed, tf.tensor1d([Math.imul(calls, 0x9e3779b1), 0], 'int32'));
  };
  const draw: Dropout['draw'] = (x, rate) =>
    rate === 0 ? { y: x, kept: undefined } : masking(rate).draw(x, nextSeed());
  const dropout = (x: Tensor, rate: number): Tensor => {
    if (rate === 0) return x;
    const callSeed = nextSeed();
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
  return Object.assign(dropout, { draw, copy: () => seededDropout(seed, calls) });
}

interface Masking {
  /** `kept`: bool, a quarter of the memory that a mask of floats takes. */
  readonly draw: (x: Tensor, seed: Tensor) => { readonly y: Tensor; readonly kept: Tensor };
  /** What a mask that was drawn leaves of x. */
  readonly again: (x: Tensor, kept: Tensor) => Tensor;
}

function masking(rate: number): Masking {
  const threshold = Math.round(rate * 0x10000);
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
