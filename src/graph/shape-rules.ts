import type { DType } from './dtypes.js';
import type { Attrs } from './node.js';

/** What a shape rule knows of an input: `values` only where they are known while tracing. */
export interface KnownTensor {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly values?: ArrayLike<number>;
}

export type ShapeRule = (inputs: readonly KnownTensor[], attrs: Attrs) => KnownTensor[];

const size = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);
const shapeText = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

function input(inputs: readonly KnownTensor[], index: number): KnownTensor {
  const tensor = inputs[index];
  if (tensor === undefined) throw new Error(`input ${index} is missing, ${inputs.length} were given`);
  return tensor;
}

/** The values of an input that decides a shape; they must not depend on data. */
function knownValues(inputs: readonly KnownTensor[], index: number): number[] {
  const { values } = input(inputs, index);
  if (values === undefined) throw new Error(`input ${index} decides the output's shape, but depends on data`);
  return Array.from(values);
}

function boolAttr(attrs: Attrs, name: string): boolean {
  const value = attrs[name];
  return value?.kind === 'bool' && value.value;
}

function intAttr(attrs: Attrs, name: string): number {
  const value = attrs[name];
  return value?.kind === 'int' ? value.value : 0;
}

function typeAttr(attrs: Attrs, name: string): DType {
  const value = attrs[name];
  if (value?.kind !== 'type') throw new Error(`attribute ${name} is missing`);
  return value.value;
}

/** NumPy's broadcasting. Throws where two dimensions differ and neither is 1. */
export function broadcastShapes(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) throw new Error(`shapes ${shapeText(a)} and ${shapeText(b)} do not broadcast`);
    return x === 1 ? y : x;
  });
}

const axisOf = (axis: number, rank: number): number => {
  const positive = axis < 0 ? axis + rank : axis;
  if (positive < 0 || positive >= rank) throw new Error(`axis ${axis} is outside a tensor of rank ${rank}`);
  return positive;
};

const unary: ShapeRule = (inputs) => [{ shape: input(inputs, 0).shape, dtype: input(inputs, 0).dtype }];
const withoutValues = ({ shape, dtype }: KnownTensor): KnownTensor => ({ shape, dtype });
/** LayerNorm of [N, H], the normal numbers, and the factor of each row. */
const normalised: ShapeRule = (inputs) => {
  const x = withoutValues(input(inputs, 0));
  return [x, x, { shape: [...x.shape.slice(0, -1), 1], dtype: x.dtype }];
};
/** Two numbers of each row of scores, of a context [B * Q, H] and a bias [B, 1, 1, S]. */
function attentionStatistics(context: KnownTensor, bias: KnownTensor, attrs: Attrs): KnownTensor {
  const heads = attrs.heads?.kind === 'int' ? attrs.heads.value : NaN;
  const sequences = bias.shape[0]!;
  return { shape: [sequences, heads, context.shape[0]! / sequences, 2], dtype: 'float32' };
}
const binary: ShapeRule = (inputs) => {
  const [a, b] = [input(inputs, 0), input(inputs, 1)];
  if (a.dtype !== b.dtype) throw new Error(`got ${a.dtype} and ${b.dtype}, expected one dtype`);
  return [{ shape: broadcastShapes(a.shape, b.shape), dtype: a.dtype }];
};
const comparison: ShapeRule = (inputs) => [
  { shape: broadcastShapes(input(inputs, 0).shape, input(inputs, 1).shape), dtype: 'bool' },
];
const sameShapes: ShapeRule = (inputs) => {
  const [first, ...others] = inputs.map((tensor) => shapeText(tensor.shape));
  const other = others.find((shape) => shape !== first);
  if (other !== undefined) throw new Error(`shapes ${first ?? ''} and ${other} differ`);
  return [{ shape: input(inputs, 0).shape, dtype: input(inputs, 0).dtype }];
};
const toBool: ShapeRule = (inputs) => [{ shape: input(inputs, 0).shape, dtype: 'bool' }];
const scalarOf: ShapeRule = (inputs) => [{ shape: [], dtype: input(inputs, 0).dtype }];

const reduction: ShapeRule = (inputs, attrs) => {
  const x = input(inputs, 0);
  const axes = new Set(knownValues(inputs, 1).map((axis) => axisOf(axis, x.shape.length)));
  const keepDims = boolAttr(attrs, 'keep_dims');
  const shape = x.shape.flatMap((dim, i) => (axes.has(i) ? (keepDims ? [1] : []) : [dim]));
  return [{ shape, dtype: x.dtype }];
};

const argReduction: ShapeRule = (inputs, attrs) => {
  const x = input(inputs, 0);
  const axis = axisOf(knownValues(inputs, 1)[0] ?? 0, x.shape.length);
  const outputType = attrs.output_type;
  const dtype = outputType?.kind === 'type' ? outputType.value : 'int64';
  return [{ shape: x.shape.filter((_, i) => i !== axis), dtype }];
};

/** The inner dimension of a and b must agree; returns [rows of a, columns of b]. */
function matMulDims(a: KnownTensor, b: KnownTensor, transposeA: boolean, transposeB: boolean): [number, number] {
  const last = (t: KnownTensor, fromEnd: number): number => t.shape[t.shape.length - fromEnd] ?? NaN;
  if (a.dtype !== b.dtype) throw new Error(`got ${a.dtype} and ${b.dtype}, expected one dtype`);
  const inner = [last(a, transposeA ? 2 : 1), last(b, transposeB ? 1 : 2)];
  if (inner[0] !== inner[1]) {
    const t = (yes: boolean): string => (yes ? ' transposed' : '');
    throw new Error(
      `inner dimensions differ: ${shapeText(a.shape)}${t(transposeA)} times ${shapeText(b.shape)}${t(transposeB)}`,
    );
  }
  return [last(a, transposeA ? 1 : 2), last(b, transposeB ? 2 : 1)];
}

const batchMatMul: ShapeRule = (inputs, attrs) => {
  const [a, b] = [input(inputs, 0), input(inputs, 1)];
  const dims = matMulDims(a, b, boolAttr(attrs, 'adj_x'), boolAttr(attrs, 'adj_y'));
  return [{ shape: [...broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2)), ...dims], dtype: a.dtype }];
};

const matMul: ShapeRule = (inputs, attrs) => {
  const [a, b] = [input(inputs, 0), input(inputs, 1)];
  return [{ shape: matMulDims(a, b, boolAttr(attrs, 'transpose_a'), boolAttr(attrs, 'transpose_b')), dtype: a.dtype }];
};

const reshape: ShapeRule = (inputs) => {
  const x = input(inputs, 0);
  const target = knownValues(inputs, 1);
  const known = target.filter((dim) => dim !== -1);
  const shape = target.map((dim) => (dim === -1 ? size(x.shape) / size(known) : dim));
  if (size(shape) !== size(x.shape) || !shape.every(Number.isInteger)) {
    throw new Error(`${shapeText(x.shape)} cannot take the shape ${shapeText(target)}`);
  }
  return [{ shape, dtype: x.dtype, ...(x.values === undefined ? {} : { values: x.values }) }];
};

const gather: ShapeRule = (inputs, attrs) => {
  const [x, indices] = [input(inputs, 0), input(inputs, 1)];
  const axis = axisOf(knownValues(inputs, 2)[0] ?? 0, x.shape.length);
  const picked = indices.shape.slice(intAttr(attrs, 'batch_dims'));
  return [{ shape: [...x.shape.slice(0, axis), ...picked, ...x.shape.slice(axis + 1)], dtype: x.dtype }];
};

const segmentSum: ShapeRule = (inputs) => {
  const [x, ids] = [input(inputs, 0), input(inputs, 1)];
  return [{ shape: [knownValues(inputs, 2)[0] ?? 0, ...x.shape.slice(ids.shape.length)], dtype: x.dtype }];
};

const slice: ShapeRule = (inputs) => {
  const x = input(inputs, 0);
  const begin = knownValues(inputs, 1);
  // That the slice lies inside is checked by TensorFlow when it runs: a symbolic size stands here as a witness, which may
  // be larger than, say, a table of positions that is long enough for every sequence it will be given.
  const shape = knownValues(inputs, 2).map((dim, i) => (dim < 0 ? (x.shape[i] ?? 0) - (begin[i] ?? 0) : dim));
  return [{ shape, dtype: x.dtype }];
};

const concat: ShapeRule = (inputs) => {
  const parts = inputs.slice(0, -1);
  const first = input(parts, 0);
  const axis = axisOf(knownValues(inputs, inputs.length - 1)[0] ?? 0, first.shape.length);
  const total = parts.reduce((sum, part) => sum + (part.shape[axis] ?? 0), 0);
  const rest = (tensor: KnownTensor): string => tensor.shape.map((dim, i) => (i === axis ? '*' : dim)).join(', ');
  const other = parts.find((part) => rest(part) !== rest(first));
  if (other !== undefined) {
    throw new Error(`${shapeText(first.shape)} and ${shapeText(other.shape)} differ in more than axis ${axis}`);
  }
  return [{ shape: first.shape.map((dim, i) => (i === axis ? total : dim)), dtype: first.dtype }];
};

const pack: ShapeRule = (inputs, attrs) => {
  const first = sameShapes(inputs, attrs)[0]!;
  const shape = [...first.shape];
  shape.splice(axisOf(intAttr(attrs, 'axis'), shape.length + 1), 0, inputs.length);
  return [{ shape, dtype: first.dtype }];
};

const expandDims: ShapeRule = (inputs) => {
  const x = input(inputs, 0);
  const shape = [...x.shape];
  shape.splice(axisOf(knownValues(inputs, 1)[0] ?? 0, shape.length + 1), 0, 1);
  return [{ shape, dtype: x.dtype }];
};

const statelessRandom: ShapeRule = (inputs, attrs) => [
  { shape: knownValues(inputs, 0), dtype: typeAttr(attrs, 'dtype') },
];

/**
 * The output shapes and types of every op the engine can trace. One entry an op; an op without one is
 * an error that names it. The rules follow the shape functions in tensorflow/core/ops.
 */
export const shapeRules: Readonly<Record<string, ShapeRule>> = {
  Abs: unary,
  Ceil: unary,
  Cos: unary,
  Cumsum: unary,
  Elu: unary,
  EnsureShape: unary,
  Erf: unary,
  Erfinv: unary,
  Exp: unary,
  Expm1: unary,
  Floor: unary,
  LeakyRelu: unary,
  Log: unary,
  Log1p: unary,
  Neg: unary,
  OnesLike: unary,
  Reciprocal: unary,
  Relu: unary,
  Relu6: unary,
  ReverseSequence: unary,
  Round: unary,
  Rsqrt: unary,
  Sigmoid: unary,
  Sign: unary,
  Sin: unary,
  Softmax: unary,
  Softplus: unary,
  Sqrt: unary,
  Square: unary,
  Tanh: unary,
  ZerosLike: unary,

  Add: binary,
  FloorDiv: binary,
  FloorMod: binary,
  Maximum: binary,
  Minimum: binary,
  Mul: binary,
  Pow: binary,
  RealDiv: binary,
  SquaredDifference: binary,
  Sub: binary,
  BiasAdd: (inputs) => {
    const [x, bias] = [input(inputs, 0), input(inputs, 1)];
    if (bias.shape.length !== 1 || bias.shape[0] !== x.shape.at(-1)) {
      throw new Error(`the bias ${shapeText(bias.shape)} does not fit the last axis of ${shapeText(x.shape)}`);
    }
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  T4Gelu: unary,
  T4GeluGrad: unary,
  T4BiasGrad: (inputs) => [{ shape: input(inputs, 0).shape.slice(-1), dtype: 'float32' }],
  T4LayerNorm: normalised,
  T4AddLayerNorm: normalised,
  T4LayerNormGrad: (inputs) => [input(inputs, 0), input(inputs, 3), input(inputs, 3)].map(withoutValues),
  T4Attention: (inputs, attrs) => {
    const query = withoutValues(input(inputs, 0));
    return [query, attentionStatistics(query, input(inputs, 3), attrs)];
  },
  T4JoinedAttention: (inputs, attrs) => {
    const { shape, dtype } = input(inputs, 0);
    const context = { shape: [shape[0]!, shape[1]! / 3], dtype };
    return [context, attentionStatistics(context, input(inputs, 1), attrs)];
  },
  T4JoinedAttentionGrad: unary,
  T4JoinColumns: (inputs) => {
    const { shape, dtype } = input(inputs, 0);
    return [{ shape: [...shape.slice(0, -1), 3 * shape.at(-1)!], dtype }];
  },
  T4SplitColumns: (inputs) => {
    const { shape } = input(inputs, 0);
    const part: KnownTensor = { shape: [...shape.slice(0, -1), shape.at(-1)! / 3], dtype: 'float32' };
    return [part, part, part];
  },
  T4AttentionGrad: (inputs) => [0, 1, 2].map((i) => withoutValues(input(inputs, i))),
  T4Dropout: (inputs) => [withoutValues(input(inputs, 0)), { shape: input(inputs, 0).shape, dtype: 'bool' }],
  T4DropoutGrad: unary,
  T4L2Loss: scalarOf,
  T4AdamW: (inputs) => [0, 1, 2].map((i) => withoutValues(input(inputs, i))),
  T4MoveAverage: unary,
  BiasAddGrad: (inputs) => [{ shape: input(inputs, 0).shape.slice(-1), dtype: input(inputs, 0).dtype }],
  AddN: sameShapes,

  Equal: comparison,
  Greater: comparison,
  GreaterEqual: comparison,
  Less: comparison,
  LessEqual: comparison,
  LogicalAnd: comparison,
  LogicalOr: comparison,
  NotEqual: comparison,
  IsFinite: toBool,
  IsNan: toBool,
  LogicalNot: toBool,

  All: reduction,
  Any: reduction,
  Max: reduction,
  Mean: reduction,
  Min: reduction,
  Prod: reduction,
  Sum: reduction,
  ArgMax: argReduction,
  ArgMin: argReduction,
  L2Loss: scalarOf,

  BatchMatMulV2: batchMatMul,
  MatMul: matMul,

  Reshape: reshape,
  ExpandDims: expandDims,
  ConcatV2: concat,
  Pack: pack,
  Slice: slice,
  GatherV2: gather,
  UnsortedSegmentSum: segmentSum,
  Transpose: (inputs) => [
    { shape: knownValues(inputs, 1).map((axis) => input(inputs, 0).shape[axis] ?? NaN), dtype: input(inputs, 0).dtype },
  ],
  Tile: (inputs) => {
    const repeats = knownValues(inputs, 1);
    return [{ shape: input(inputs, 0).shape.map((d, i) => d * (repeats[i] ?? 1)), dtype: input(inputs, 0).dtype }];
  },
  PadV2: (inputs) => {
    const pads = knownValues(inputs, 1);
    const shape = input(inputs, 0).shape.map((d, i) => d + (pads[2 * i] ?? 0) + (pads[2 * i + 1] ?? 0));
    return [{ shape, dtype: input(inputs, 0).dtype }];
  },
  Fill: (inputs) => [{ shape: knownValues(inputs, 0), dtype: input(inputs, 1).dtype }],
  Range: (inputs) => {
    const [start, limit, delta] = [0, 1, 2].map((i) => knownValues(inputs, i)[0] ?? 0);
    return [{ shape: [Math.max(0, Math.ceil((limit! - start!) / delta!))], dtype: input(inputs, 0).dtype }];
  },
  Shape: (inputs) => [{ shape: [input(inputs, 0).shape.length], dtype: 'int32', values: [...input(inputs, 0).shape] }],
  Cast: (inputs, attrs) => [{ shape: input(inputs, 0).shape, dtype: typeAttr(attrs, 'DstT') }],
  OneHot: (inputs) => [
    { shape: [...input(inputs, 0).shape, knownValues(inputs, 1)[0] ?? 0], dtype: input(inputs, 2).dtype },
  ],
  Select: (inputs) => [{ shape: input(inputs, 1).shape, dtype: input(inputs, 1).dtype }],

  BitwiseAnd: binary,
  StatelessRandomUniformFullInt: statelessRandom,
  StatelessRandomUniform: statelessRandom,
  StatelessRandomNormal: statelessRandom,

  SparseSoftmaxCrossEntropyWithLogits: (inputs) => {
    const logits = input(inputs, 0);
    return [
      { shape: logits.shape.slice(0, 1), dtype: logits.dtype },
      { shape: logits.shape, dtype: logits.dtype },
    ];
  },
};
