import { attr, type GraphNode } from './node.js';
import { useOwnProducts } from './own-products.js';
import type { Precision, Program } from './program.js';
import { handleNode, type Variable } from './recorder.js';

/** `count` products of a matrix [rows, width], each of the one before it, with one [width, width]. */
export interface ProductChain {
  readonly rows: number;
  readonly width: number;
  readonly count: number;
}

/**
 * A program to measure how fast matrices are multiplied: `initialize` fills them, `multiply` runs the chain and returns a
 * single number of the last product. Written down directly, because in bfloat16 no product may be cast in between; the
 * products are computed as those of a training step are.
 */
export function productProgram({ rows, width, count }: ProductChain, precision: Precision): Program {
  const dtype = precision === 'bf16' ? 'bfloat16' : 'float32';
  const [T, float, int] = [attr.type(dtype), attr.type('float32'), attr.type('int32')];
  const variables = [
    { name: 'left', shape: [rows, width], dtype },
    { name: 'right', shape: [width, width], dtype },
  ] as const satisfies Variable[];
  const nodes: GraphNode[] = variables.map(handleNode);
  const add = (name: string, op: string, inputs: readonly string[], attrs: GraphNode['attrs']): string => {
    nodes.push({ name, op, inputs, attrs });
    return name;
  };
  const integers = (name: string, values: readonly number[]): string =>
    add(name, 'Const', [], { dtype: int, value: attr.tensor('int32', [values.length], Int32Array.from(values)) });
  const cast = (name: string, input: string, from: 'float32' | typeof dtype, to: 'float32' | typeof dtype): string =>
    add(name, 'Cast', [input], { SrcT: attr.type(from), DstT: attr.type(to), Truncate: attr.bool(false) });
  // With a mean of 1 / width the products stay as large as what is multiplied, however many there are.
  const scale = add('scale', 'Const', [], {
    dtype: float,
    value: attr.tensor('float32', [], Float32Array.of(2 / width)),
  });
  const assigned = variables.map(({ name, shape }) => {
    const random = add(`${name}/random`, 'RandomUniform', [integers(`${name}/shape`, shape)], {
      T: int,
      dtype: float,
      seed: attr.int(1),
      seed2: attr.int(2),
    });
    const value = cast(`${name}/value`, add(`${name}/scaled`, 'Mul', [random, scale], { T: float }), 'float32', dtype);
    return add(`${name}/assign`, 'AssignVariableOp', [name, value], { dtype: T, validate_shape: attr.bool(false) });
  });
  const done = add('done', 'Identity', [scale, ...assigned.map((name) => `^${name}`)], { T: float });
  const [left, right] = variables.map(({ name }) => add(`${name}/read`, 'ReadVariableOp', [name], { dtype: T }));
  let product = left!;
  for (let i = 0; i < count; i++) {
    product = add(`product_${i}`, 'MatMul', [product, right!], {
      T,
      transpose_a: attr.bool(false),
      transpose_b: attr.bool(false),
    });
  }
  const corner = add('corner', 'Slice', [product, integers('begin', [0, 0]), integers('size', [1, 1])], {
    T,
    Index: int,
  });
  const result = cast('result', corner, dtype, 'float32');
  return {
    nodes: useOwnProducts(nodes, [done, result]),
    variables,
    signatures: {
      initialize: { inputs: {}, outputs: { done: { tensor: `${done}:0`, dtype: 'float32', shape: [] } } },
      multiply: { inputs: {}, outputs: { corner: { tensor: `${result}:0`, dtype: 'float32', shape: [1, 1] } } },
    },
  };
}
