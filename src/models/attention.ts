import * as fused from '../graph/fused-ops.js';
import { tf, type Tensor } from '../graph/index.js';
import { differentiable, runAfter } from '../graph/ops.js';
import { masking, thresholdOf, type Dropout } from './dropout.js';
import { dense, scale, softmax, type Pass } from './layers.js';

/** Letters as in layers.ts, and Q for the queries of a sequence, where they are not as many as its tokens. */

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
  if (fused.isFusing()) return fusedAttention([query, key, value], bias, query.shape[1]!, heads, dropout, rate);
  const [batch, hidden] = [bias.shape[0], query.shape[1]!];
  const size = hidden / heads;
  const split = (x: Tensor): Tensor =>
    tf.transpose(tf.reshape(x, [batch, x.shape[0] / batch, heads, size]), [0, 2, 1, 3]); // [B, A, Q or S, D]
  // Scaled here and not after the product: a query is narrower than its scores where sequences are long.
  const scores = similaritiesOfHeads(split(scale(query, 1 / Math.sqrt(size))), split(key)); // [B, A, Q, S]
  const context = weightedSum(softmax(tf.add(scores, bias)), split(value), dropout, rate);
  return tf.reshape(tf.transpose(context, [0, 2, 1, 3]), [query.shape[0], hidden]);
}

/** @param states as the op takes them; @param hidden H */
function fusedAttention(
  states: fused.AttentionInputs['states'],
  bias: Tensor,
  hidden: number,
  heads: number,
  dropout: Dropout,
  rate: number,
): Tensor {
  const drawn = dropout.nextSeed(rate);
  const threshold = drawn === undefined ? 0 : thresholdOf(rate);
  const settings = { heads, scale: Math.sqrt(heads / hidden), threshold };
  const seed = drawn ?? tf.tensor1d([0, 0], 'int32');
  return differentiable(
    [...states],
    (save) => {
      const { context, statistics } = fused.attention({ states, bias, seed }, settings);
      save([...states, bias, seed, statistics]);
      return context;
    },
    (dy, saved) => {
      const [b, s, statistics] = saved.slice(-3) as [Tensor, Tensor, Tensor];
      return fused.attentionGrad(dy, { states: saved.slice(0, -3), bias: b, seed: s }, statistics, settings);
    },
  );
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
  return fusedAttention([joined], bias, states.shape[1]!, heads, dropout, rate);
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
