import * as fused from '../graph/fused-ops.js';
import { biasAdd, biasAddGrad as biasAddGradOfTensorFlow, differentiable, matMul, opaque } from '../graph/ops.js';
import { tf, type Tensor, type Tensor1D } from '../graph/index.js';
import type { Dropout } from './dropout.js';

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
