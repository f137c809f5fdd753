import { dtypeNumbers, isDType } from './dtypes.js';
import { tracingBackend } from './tracing-backend.js';
import { nodeBackend, tf, type OpAttr, type Tensor, type TensorInfo } from './tensorflow.js';

/**
 * TensorFlow ops that tfjs-core has no function for, or reaches by a detour. They run on whichever backend is
 * active: eagerly, or traced. None has a gradient of its own; use them inside `differentiable`.
 */

interface ExecutingBackend {
  executeSingleOutput(op: string, attrs: OpAttr[], inputs: TensorInfo[]): Tensor;
  executeMultipleOutputs(op: string, attrs: OpAttr[], inputs: TensorInfo[], count: number): Tensor[];
}

const backend = (): ExecutingBackend => tf.backend() as unknown as ExecutingBackend;

const { binding } = nodeBackend;
const type = (name: string, dtype: string): OpAttr => ({
  name,
  type: binding.TF_ATTR_TYPE,
  value: isDType(dtype) ? dtypeNumbers[dtype] : 0,
});
const bool = (name: string, value: boolean): OpAttr => ({ name, type: binding.TF_ATTR_BOOL, value });

/** Matrix product of two matrices, [m, k] x [k, n] -> [m, n]; either may be given transposed. */
export function matMul(a: Tensor, b: Tensor, transposeA = false, transposeB = false): Tensor {
  const attrs = [type('T', a.dtype), bool('transpose_a', transposeA), bool('transpose_b', transposeB)];
  return backend().executeSingleOutput('MatMul', attrs, [a, b]);
}

/** x [..., n] + bias [n]. */
export function biasAdd(x: Tensor, bias: Tensor): Tensor {
  return backend().executeSingleOutput('BiasAdd', [type('T', x.dtype)], [x, bias]);
}

/** The gradient of a bias: the sum over all axes but the last, [..., n] -> [n]. */
export function biasAddGrad(dy: Tensor): Tensor {
  return backend().executeSingleOutput('BiasAddGrad', [type('T', dy.dtype)], [dy]);
}

/** A tensor of the given shape, full of a scalar. */
export function filled(shape: readonly number[], value: Tensor): Tensor {
  const attrs = [type('T', value.dtype), type('index_type', 'int32')];
  return backend().executeSingleOutput('Fill', attrs, [tf.tensor1d([...shape], 'int32'), value]);
}

/** (sum of squares) / 2, a scalar. */
export function l2Loss(x: Tensor): Tensor {
  return backend().executeSingleOutput('L2Loss', [type('T', x.dtype)], [x]);
}

/** The sum of tensors of one shape. TensorFlow chooses which it begins with, from run to run: of three or more the last digits may differ. */
export function addN(tensors: readonly Tensor[]): Tensor {
  const count: OpAttr = { name: 'N', type: binding.TF_ATTR_INT, value: tensors.length };
  return backend().executeSingleOutput('AddN', [count, type('T', 'float32')], [...tensors]);
}

/** The size of every axis, int32 [rank], also where it is symbolic. */
export function shapeOf(x: Tensor): Tensor {
  return backend().executeSingleOutput('Shape', [type('T', x.dtype), type('out_type', 'int32')], [x]);
}

const randomAttrs = (dtype: string): OpAttr[] => [type('dtype', dtype), type('T', 'int32'), type('Tseed', 'int32')];

/** Integers over the whole range of int32, of the shape `shape` (int32 [rank]): a pure function of `seed`, int32 [2]. */
export function statelessRandomInts(shape: Tensor, seed: Tensor): Tensor {
  return backend().executeSingleOutput('StatelessRandomUniformFullInt', randomAttrs('int32'), [shape, seed]);
}

/** a & b, bit by bit, int32. */
export function bitwiseAnd(a: Tensor, b: Tensor): Tensor {
  return backend().executeSingleOutput('BitwiseAnd', [type('T', 'int32')], [a, b]);
}

/** Numbers of [0, 1), float32, of the shape `shape` (int32 [rank]): a pure function of `seed`, int32 [2]. */
export function statelessRandomUniform(shape: Tensor, seed: Tensor): Tensor {
  return backend().executeSingleOutput('StatelessRandomUniform', randomAttrs('float32'), [shape, seed]);
}

/** Normally distributed numbers, mean 0 and deviation 1, of the shape `shape` (int32 [rank]): a pure function of `seed`, int32 [2]. */
export function statelessRandomNormal(shape: Tensor, seed: Tensor): Tensor {
  return backend().executeSingleOutput('StatelessRandomNormal', randomAttrs('float32'), [shape, seed]);
}

/** The inverse of the error function, element by element, float32. */
export function erfinv(x: Tensor): Tensor {
  return backend().executeSingleOutput('Erfinv', [type('T', 'float32')], [x]);
}

/**
 * Turns the first `lengths[b]` (int32 [batch]) elements of each sequence round; what follows stays.
 *
 * @param x [sequence, batch, ...]
 */
export function reverseSequence(x: Tensor, lengths: Tensor): Tensor {
  const int = (name: string, value: number): OpAttr => ({ name, type: binding.TF_ATTR_INT, value });
  const attrs = [int('seq_dim', 0), int('batch_dim', 1), type('T', x.dtype), type('Tlen', 'int32')];
  return backend().executeSingleOutput('ReverseSequence', attrs, [x, lengths]);
}

/**
 * Cross entropy of logits [batch, classes] against class numbers (int32 [batch]).
 *
 * @returns `losses` [batch] and their gradient with respect to the logits, [batch, classes]
 */
export function sparseSoftmaxCrossEntropy(logits: Tensor, labels: Tensor): { losses: Tensor; gradient: Tensor } {
  const attrs = [type('T', 'float32'), type('Tlabels', 'int32')];
  const outputs = backend().executeMultipleOutputs('SparseSoftmaxCrossEntropyWithLogits', attrs, [logits, labels], 2);
  return { losses: outputs[0]!, gradient: outputs[1]! };
}

/** The entries of `table` [n], which may be strings, at int32 numbers of any shape; tfjs's gather takes numbers only. */
export function entriesAt(table: Tensor, numbers: Tensor): Tensor {
  const attrs = [
    { name: 'batch_dims', type: binding.TF_ATTR_INT, value: 0 },
    type('Tparams', table.dtype),
    type('Tindices', 'int32'),
    type('Taxis', 'int32'),
  ];
  return backend().executeSingleOutput('GatherV2', attrs, [table, numbers, tf.scalar(0, 'int32')]);
}

/**
 * A function of tensors with a hand-written gradient, instead of one that tfjs derives op by op.
 *
 * @param inputs float32 tensors the gradient flows to
 * @param forward computes the result; what the gradient needs is passed to `save`
 * @param backward the gradient of each input, from the result's gradient and what was saved
 */
export function differentiable(
  inputs: readonly Tensor[],
  forward: (save: (tensors: Tensor[]) => void) => Tensor,
  backward: (dy: Tensor, saved: Tensor[]) => Tensor[],
): Tensor {
  const operation = tf.customGrad((...given) => {
    const save = given[given.length - 1] as (tensors: Tensor[]) => void;
    return { value: forward(save), gradFunc: backward };
  });
  return operation(...inputs);
}

/**
 * In a graph, what `body` computes waits until `tensor` is computed, even where its inputs are ready long before: a
 * value that is cheap to compute again need not be kept in memory until it is used. Eagerly it simply runs.
 */
export function runAfter<T>(tensor: Tensor, body: () => T): T {
  return (tf.backend() as unknown) === tracingBackend ? tracingBackend.after(tensor, body) : body();
}

/**
 * In a graph, x as a value of which TensorFlow's optimizer does not know how it came about: it fuses or reorders nothing
 * across. (An Identity it takes away.) Eagerly it is x.
 */
export function opaque(x: Tensor): Tensor {
  if ((tf.backend() as unknown) !== tracingBackend) return x;
  const anyShape: OpAttr = { name: 'shape', type: binding.TF_ATTR_SHAPE, value: x.shape.map(() => -1) };
  return backend().executeSingleOutput('EnsureShape', [type('T', x.dtype), anyShape], [x]);
}

/**
 * In a graph, x as it is, but not before `tensor` is computed: what is computed of it waits too, and is not shared with
 * what is computed of x itself. Unlike with `runAfter` the ops on it have no control inputs of their own, for which
 * TensorFlow would not fuse them: fused ops round differently. Eagerly it is x.
 */
export const delayed = (x: Tensor, tensor: Tensor): Tensor => runAfter(tensor, () => opaque(x));
