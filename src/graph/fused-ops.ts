import { loadAddon } from './addons.js';
import { attr, type GraphNode } from './node.js';
import { nodeBackend, tf, type OpAttr, type Tensor } from './tensorflow.js';
import { tracingBackend } from './tracing-backend.js';

/**
 * Ops of native/fused.cc, for the CPU: one pass over the memory for what takes many in TensorFlow's own. Only graphs that
 * run in this process may hold them, so a program has to allow them; what is exported is made of TensorFlow's ops alone.
 */

const addon = loadAddon('fused') as { multipliesFloat32: boolean; multipliesBfloat16: boolean } | undefined;

/** Whether this process has the ops. T4_FUSED_OPS=0 goes without, to measure what they gain. */
export const hasFusedOps: boolean =
  addon !== undefined && !nodeBackend.isUsingGpuDevice && process.env.T4_FUSED_OPS !== '0';

/** Of which numbers this process multiplies matrices by T4MatMul: where its processor is faster so than by TensorFlow's MatMul. */
export const multiplies: Readonly<Record<'float32' | 'bfloat16', boolean>> = {
  float32: hasFusedOps && addon?.multipliesFloat32 === true,
  bfloat16: hasFusedOps && addon?.multipliesBfloat16 === true,
};

/** Whether the function that is traced now may use the ops. Never while ops run eagerly. */
export const isFusing = (): boolean => (tf.backend() as unknown) === tracingBackend && tracingBackend.active.fused;

const { binding } = nodeBackend;
const int = (name: string, value: number): OpAttr => ({ name, type: binding.TF_ATTR_INT, value });
const float = (name: string, value: number): OpAttr => ({ name, type: binding.TF_ATTR_FLOAT, value });
const bool = (name: string, value: boolean): OpAttr => ({ name, type: binding.TF_ATTR_BOOL, value });

/** Outputs for the gradient alone are computed only where one is asked for: `dropUnusedOutputs`. */
const keep = bool('keep', true);

const call = (op: string, attrs: OpAttr[], inputs: Tensor[]): Tensor[] =>
  tracingBackend.executeMultipleOutputs(op, attrs, inputs);

/** x Phi(x), or with `tanh` its approximation 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). Any shape. */
export const gelu = (x: Tensor, tanh: boolean): Tensor => call('T4Gelu', [bool('tanh', tanh)], [x])[0]!;

/** dy times the slope at x. */
export const geluGrad = (dy: Tensor, x: Tensor, tanh: boolean): Tensor =>
  call('T4GeluGrad', [bool('tanh', tanh)], [dy, x])[0]!;

/** The gradient of a bias: the sum over all axes but the last, [..., n] -> [n]. */
export const biasGrad = (dy: Tensor): Tensor => call('T4BiasGrad', [], [dy])[0]!;

export interface Normalised {
  readonly y: Tensor;
  /** Mean 0 and variance 1, as wide as y. */
  readonly normal: Tensor;
  /** 1 / sqrt(variance + epsilon) of each row, [N, 1]. */
  readonly inverse: Tensor;
}

/** LayerNorm of x, or of x + residual, [N, H]. */
export function layerNorm(
  x: Tensor,
  residual: Tensor | undefined,
  gamma: Tensor,
  beta: Tensor,
  epsilon: number,
): Normalised {
  const [y, normal, inverse] =
    residual === undefined
      ? call('T4LayerNorm', [float('epsilon', epsilon), keep], [x, gamma, beta])
      : call('T4AddLayerNorm', [float('epsilon', epsilon), keep], [x, residual, gamma, beta]);
  return { y: y!, normal: normal!, inverse: inverse! };
}

/** The gradients of x (and of the residual, which is the same), gamma and beta. */
export function layerNormGrad(dy: Tensor, normal: Tensor, inverse: Tensor, gamma: Tensor): [Tensor, Tensor, Tensor] {
  return call('T4LayerNormGrad', [], [dy, normal, inverse, gamma]) as [Tensor, Tensor, Tensor];
}

/** What attention is told besides the tensors. */
export interface AttentionSettings {
  readonly heads: number;
  /** Scores are multiplied by it. */
  readonly scale: number;
  /** Of the dropout of the probabilities, as `dropout` has it; 0: none. */
  readonly threshold: number;
}

/** What attention is given. */
export interface AttentionInputs {
  /** Query [B * Q, H], key and value [B * S, H]; or all three side by side, [B * S, 3 H]. */
  readonly states: readonly Tensor[];
  /** Added to the scores, [B, 1, 1, S]. */
  readonly bias: Tensor;
  /** int32 [2]. */
  readonly seed: Tensor;
}

const attentionAttrs = ({ heads, scale, threshold }: AttentionSettings): OpAttr[] => [
  int('heads', heads),
  float('scale', scale),
  int('threshold', threshold),
];

/**
 * Dot-product attention of all heads, each of which has its own columns of query, key, value and context. Scores and
 * probabilities are never in memory as a whole (arXiv:2205.14135). The mask is that of `dropout` of probabilities
 * [B, A, Q, S] with axis 1.
 *
 * @returns `context` [B * Q, H], and of each row of scores its maximum and 1 / the sum of exponentials, [B, A, Q, 2]
 */
export function attention(
  { states, bias, seed }: AttentionInputs,
  settings: AttentionSettings,
): { readonly context: Tensor; readonly statistics: Tensor } {
  const op = states.length === 1 ? 'T4JoinedAttention' : 'T4Attention';
  const [context, statistics] = call(op, [...attentionAttrs(settings), keep], [...states, bias, seed]);
  return { context: context!, statistics: statistics! };
}

/** The gradients of the states. */
export function attentionGrad(
  dContext: Tensor,
  { states, bias, seed }: AttentionInputs,
  statistics: Tensor,
  settings: AttentionSettings,
): Tensor[] {
  const op = states.length === 1 ? 'T4JoinedAttentionGrad' : 'T4AttentionGrad';
  return call(op, attentionAttrs(settings), [...states, bias, seed, statistics, dContext]);
}

/** Three tensors [..., n], side by side: [..., 3 n]. */
export const joinColumns = (parts: readonly [Tensor, Tensor, Tensor]): Tensor =>
  call('T4JoinColumns', [], [...parts])[0]!;

/** The opposite. */
export const splitColumns = (joined: Tensor): Tensor[] => call('T4SplitColumns', [], [joined]);

/**
 * Dropout of x: each element is kept with probability 1 - threshold / 65536 and divided by it. The mask is that of
 * StatelessRandomUniformFullInt for the seed (int32 [2]): a number decides by its upper half on an element of the first
 * half of `axis`, by its lower half on one of the second half; where the axis is odd, on one element.
 *
 * @returns `kept`: bool, of x's shape
 */
export function dropout(x: Tensor, seed: Tensor, threshold: number, axis: number): { y: Tensor; kept: Tensor } {
  const [y, kept] = call('T4Dropout', [int('threshold', threshold), int('axis', axis)], [x, seed]);
  return { y: y!, kept: kept! };
}

export const dropoutGrad = (dy: Tensor, kept: Tensor, threshold: number): Tensor =>
  call('T4DropoutGrad', [int('threshold', threshold)], [dy, kept])[0]!;

/** Half the sum of squares, a scalar. Any shape. */
export const l2Loss = (x: Tensor): Tensor => call('T4L2Loss', [], [x])[0]!;

/** What a step of AdamW is told besides the tensors: `gradientFactor`, a scalar, and the optimizer's factors, scalars. */
export interface AdamWFactors {
  readonly gradientFactor: Tensor;
  readonly stepSize: Tensor;
  readonly epsilon: Tensor;
  readonly decayFactor: Tensor;
}

/**
 * AdamW's step of a weight and its two moments, in their memory where nobody else needs it. With g = gradient *
 * gradientFactor:
 *
 *   m += (g - m) * (1 - beta1),   v += (g^2 - v) * (1 - beta2),   w = w * decayFactor - stepSize * m / (sqrt(v) + epsilon)
 *
 * @param state w, m and v, all of the gradient's shape
 * @returns w, m and v
 */
export function adamWStep(
  state: readonly Tensor[],
  gradient: Tensor,
  { gradientFactor, stepSize, epsilon, decayFactor }: AdamWFactors,
  betas: { readonly beta1: number; readonly beta2: number },
): Tensor[] {
  const attrs = [float('beta1', betas.beta1), float('beta2', betas.beta2)];
  return call('T4AdamW', attrs, [...state, gradient, gradientFactor, stepSize, epsilon, decayFactor]);
}

/** average + share * (value - average), in the average's memory where nobody else needs it. `share` is a scalar. */
export const moveAverage = (average: Tensor, value: Tensor, share: Tensor): Tensor =>
  call('T4MoveAverage', [], [average, value, share])[0]!;

/** Tells the ops whose further outputs nobody uses not to compute them. */
export function dropUnusedOutputs(nodes: readonly GraphNode[]): GraphNode[] {
  const used = new Set(nodes.flatMap(({ inputs }) => inputs));
  return nodes.map((node) =>
    node.attrs.keep === undefined || used.has(`${node.name}:1`) || used.has(`${node.name}:2`)
      ? node
      : { ...node, attrs: { ...node.attrs, keep: attr.bool(false) } },
  );
}
