import type { Affine } from './dimensions.js';
import { solveAffine } from './dimensions.js';
import { attr, equalAttrs, numberArray, type Attrs, type ConstValues, type GraphNode } from './node.js';
import type { DType } from './dtypes.js';
import { solveMonomial, type Monomial } from './product-flops.js';
import type { RecordedConstant, RecordedNode, Reference } from './recorder.js';

/** A difference between traces that no symbolic dimension explains. `index`: the node, for a trace that knows places. */
export class LeakedDimension extends Error {
  constructor(
    message: string,
    readonly index: number,
    readonly op: string,
  ) {
    super(message);
  }
}

/** One recorded trace with the sizes its dimensions had. */
export interface Trace {
  readonly nodes: readonly RecordedNode[];
  readonly sizes: Map<string, number>;
}

/** For each symbol: the node output whose shape has it, and the axis. */
export type DimensionSources = ReadonlyMap<string, { node: number; dtype: DType; axis: number }>;

/**
 * Turns equal traces made with different sizes into one list of graph nodes that serves every size.
 *
 * @param prefix put before the names of all nodes but placeholders and variables
 * @returns nodes in an order in which inputs come first (but for NextIteration, which a loop begins with), and the name of each recorded node
 * @throws LeakedDimension where traces differ in more than symbolic sizes
 */
export function lowerTraces(
  traces: readonly Trace[],
  sources: DimensionSources,
  prefix: string,
): { nodes: GraphNode[]; names: string[] } {
  const lowering = new Lowering(traces, sources, prefix);
  traces[0]!.nodes.forEach((_, index) => {
    lowering.lowerNode(index);
  });
  lowering.closeLoops();
  return { nodes: lowering.nodes, names: lowering.names };
}

class Lowering {
  readonly nodes: GraphNode[] = [];
  readonly names: string[] = [];
  /** Inputs that are recorded after their node. */
  private readonly later: { node: number; input: number; reference: Reference }[] = [];
  private readonly sizes: Map<string, number>[];

  constructor(
    private readonly traces: readonly Trace[],
    private readonly sources: DimensionSources,
    private readonly prefix: string,
  ) {
    this.sizes = traces.map((trace) => trace.sizes);
    const lengths = new Set(traces.map((trace) => trace.nodes.length));
    if (lengths.size > 1) this.reportLengths();
  }

  lowerNode(index: number): void {
    const variants = this.traces.map((trace) => trace.nodes[index]!);
    const first = variants[0]!;
    this.checkAlike(variants, index);
    if (first.constant !== undefined) {
      this.names.push(this.lowerConstant(index));
      return;
    }
    const inputs = first.inputs.map((reference, input) => {
      if (reference.node < index) return this.inputName(reference);
      this.later.push({ node: this.nodes.length, input, reference });
      return '';
    });
    const target = first.op === 'Reshape' ? this.inferredTarget(first.inputs[1]!) : undefined;
    if (target !== undefined) inputs[1] = target;
    const controls = first.controls.map((control) => `^${this.names[control]!}`);
    const attrs = first.op === 'Enter' ? this.ownFrame(first.attrs) : first.attrs;
    this.names.push(this.add(first.op, [...inputs, ...controls], attrs, first.name ?? this.nameOf(first.op)));
    const flops = first.flops === undefined ? undefined : this.flopsOf(variants);
    if (flops !== undefined) this.nodes.push({ ...this.nodes.pop()!, flops });
  }

  private flopsOf(variants: readonly RecordedNode[]): Monomial | undefined {
    return solveMonomial(
      variants.map((variant) => variant.flops ?? NaN),
      this.sizes,
    );
  }

  closeLoops(): void {
    for (const { node, input, reference } of this.later) {
      const { inputs, ...rest } = this.nodes[node]!;
      this.nodes[node] = { ...rest, inputs: inputs.with(input, this.inputName(reference)) };
    }
  }

  /** Functions may run together in one step, where a frame's name must be of one loop only. */
  private ownFrame({ frame_name: frame, ...attrs }: Attrs): Attrs {
    if (frame?.kind !== 'string') throw new Error('Enter has no frame');
    return { ...attrs, frame_name: attr.string(`${this.prefix}/${frame.value}`) };
  }

  private checkAlike(variants: readonly RecordedNode[], index: number): void {
    const first = variants[0]!;
    for (const variant of variants) {
      if (!isAlike(variant, first)) {
        throw new LeakedDimension('the ops asked for depend on the size of a symbolic dimension', index, first.op);
      }
    }
  }

  private reportLengths(): never {
    const shortest = Math.min(...this.traces.map((trace) => trace.nodes.length));
    for (let index = 0; index < shortest; index++) {
      this.checkAlike(
        this.traces.map((trace) => trace.nodes[index]!),
        index,
      );
    }
    throw new LeakedDimension('the number of ops depends on the size of a symbolic dimension', shortest - 1, 'graph');
  }

  private lowerConstant(index: number): string {
    const variants = this.traces.map((trace) => trace.nodes[index]!.constant!);
    const first = variants[0]!;
    if (variants.every((variant) => equalConstants(variant, first))) return this.constant(first);
    if (variants.some(({ dtype, shape }) => dtype !== first.dtype || shape.length !== first.shape.length)) {
      this.leak(index, 'the dtype or the rank of a constant differs');
    }
    if (first.dtype === 'string') this.leak(index, 'strings differ');
    if (variants.some((variant) => variant.shape.join() !== first.shape.join())) {
      return this.symbolicShapeConstant(variants, index);
    }
    const contents = variants.map((variant) => elements(variant.values));
    const scalars = contents[0]!.map((_, i) =>
      this.symbolicScalar(
        contents.map((values) => Number(values[i])),
        first.dtype,
        index,
      ),
    );
    if (first.shape.length === 0) return scalars[0]!;
    const packed = this.pack(scalars, first.dtype);
    if (first.shape.length === 1) return packed;
    const shape = this.integers([...first.shape]);
    return this.add('Reshape', [packed, shape], { T: attr.type(first.dtype), Tshape: attr.type('int32') });
  }

  /** A constant filled with one value, or counting 0, 1, 2 ..., whose shape has symbolic dimensions. */
  private symbolicShapeConstant(variants: readonly RecordedConstant[], index: number): string {
    const first = variants[0]!;
    const dims = first.shape.map((_, axis) =>
      this.symbolicScalar(
        variants.map((variant) => variant.shape[axis]!),
        'int32',
        index,
      ),
    );
    const value = first.values[0];
    const isFilled = variants.every((variant) => elements(variant.values).every((v) => v === value));
    if (isFilled && typeof value === 'number') {
      const fill = this.constant({ dtype: first.dtype, shape: [], values: numberArray(first.dtype, [value]) });
      return this.add('Fill', [this.pack(dims, 'int32'), fill], {
        T: attr.type(first.dtype),
        index_type: attr.type('int32'),
      });
    }
    const counts = variants.every((variant) => elements(variant.values).every((v, i) => v === i));
    if (counts && dims.length === 1) {
      const [zero, one] = [this.integer(0), this.integer(1)];
      const range = this.add('Range', [zero, dims[0]!, one], { Tidx: attr.type('int32') });
      return first.dtype === 'int32' ? range : this.cast(range, first.dtype);
    }
    this.leak(index, 'a constant whose shape is symbolic must hold one value, or count from 0');
  }

  private symbolicScalar(values: readonly number[], dtype: DType, index: number): string {
    const first = values[0]!;
    if (values.every((value) => value === first)) {
      return this.constant({ dtype, shape: [], values: numberArray(dtype, [first]) });
    }
    const affine = solveAffine(values, this.sizes);
    if (affine !== undefined) {
      const scalar = this.affine(affine);
      return dtype === 'int32' ? scalar : this.cast(scalar, dtype);
    }
    const reciprocal = dtype === 'float32' ? this.reciprocal(values) : undefined;
    return reciprocal ?? this.leak(index, `a number that is ${values.join(', ')} at sizes ${this.sizesText()}`);
  }

  /** 1 / (a product of dimensions), as in the gradient of a mean. */
  private reciprocal(values: readonly number[]): string | undefined {
    const divisors = values.map((value) => Math.round(1 / value));
    if (!values.every((value, t) => Math.fround(1 / divisors[t]!) === value)) return undefined;
    const affine = solveAffine(divisors, this.sizes);
    if (affine === undefined) return undefined;
    return this.add('Reciprocal', [this.cast(this.affine(affine), 'float32')], { T: attr.type('float32') });
  }

  private affine({ factor, symbols, offset }: Affine): string {
    const T = attr.type('int32');
    let value = symbols.map((symbol) => this.dimension(symbol)).reduce((a, b) => this.add('Mul', [a, b], { T }));
    if (factor !== 1) value = this.add('Mul', [value, this.integer(factor)], { T });
    if (offset !== 0) value = this.add('AddV2', [value, this.integer(offset)], { T });
    return value;
  }

  private dimension(symbol: string): string {
    const source = this.sources.get(symbol);
    if (source === undefined) throw new Error(`no input has the dimension ${symbol}`);
    const shape = this.add('Shape', [this.names[source.node]!], {
      T: attr.type(source.dtype),
      out_type: attr.type('int32'),
    });
    const masks = { begin_mask: 0, end_mask: 0, ellipsis_mask: 0, new_axis_mask: 0, shrink_axis_mask: 1 };
    const [begin, end, stride] = [source.axis, source.axis + 1, 1].map((value) => this.integers([value]));
    return this.add('StridedSlice', [shape, begin!, end!, stride!], {
      T: attr.type('int32'),
      Index: attr.type('int32'),
      ...Object.fromEntries(Object.entries(masks).map(([name, value]) => [name, attr.int(value)])),
    });
  }

  /**
   * The target of a reshape with a single symbolic size is written with -1 there: the runtime works it out,
   * without arithmetic on shapes.
   */
  private inferredTarget(reference: Reference): string | undefined {
    const variants = this.traces.map((trace) => trace.nodes[reference.node]!.constant);
    const first = variants[0];
    if (first?.shape.length !== 1) return undefined;
    const given = elements(first.values).map(Number);
    const target = given.map((size, i) => (variants.every((variant) => variant!.values[i] === size) ? size : -1));
    const symbolic = target.filter((size) => size === -1);
    return symbolic.length === 1 && !given.includes(-1) ? this.integers(target) : undefined;
  }

  private inputName({ node, output }: Reference): string {
    const name = this.names[node]!;
    return output === 0 ? name : `${name}:${output}`;
  }

  private pack(scalars: readonly string[], dtype: DType): string {
    return this.add('Pack', scalars, { T: attr.type(dtype), N: attr.int(scalars.length), axis: attr.int(0) });
  }

  private cast(value: string, dtype: DType): string {
    return this.add('Cast', [value], {
      SrcT: attr.type('int32'),
      DstT: attr.type(dtype),
      Truncate: attr.bool(false),
    });
  }

  private integer(value: number): string {
    return this.constant({ dtype: 'int32', shape: [], values: Int32Array.of(value) });
  }

  private integers(values: readonly number[]): string {
    return this.constant({ dtype: 'int32', shape: [values.length], values: Int32Array.from(values) });
  }

  private constant({ dtype, shape, values }: RecordedConstant): string {
    return this.add('Const', [], { dtype: attr.type(dtype), value: attr.tensor(dtype, shape, values) });
  }

  private nameOf(op: string): string {
    return `${this.prefix}/${op}_${this.nodes.length}`;
  }

  private add(op: string, inputs: readonly string[], attrs: Attrs, name = this.nameOf(op)): string {
    this.nodes.push({ name, op, inputs, attrs });
    return name;
  }

  private leak(index: number, reason: string): never {
    throw new LeakedDimension(reason, index, this.userOf(index));
  }

  /** The op that uses a node, inside of a loop too. */
  private userOf(index: number): string {
    const { nodes } = this.traces[0]!;
    const user = nodes.findIndex((node) => node.inputs.some((input) => input.node === index));
    const op = nodes[user]?.op ?? 'Const';
    return op === 'Enter' ? this.userOf(user) : op;
  }

  private sizesText(): string {
    return this.sizes.map((size) => [...size].map(([symbol, value]) => `${symbol}=${value}`).join(' ')).join(', ');
  }
}

const isAlike = (a: RecordedNode, b: RecordedNode): boolean =>
  a.op === b.op &&
  a.inputs.length === b.inputs.length &&
  a.inputs.every(({ node, output }, i) => node === b.inputs[i]!.node && output === b.inputs[i]!.output) &&
  a.controls.length === b.controls.length &&
  a.controls.every((control, i) => control === b.controls[i]) &&
  equalAttrs(a.attrs, b.attrs);

const elements = (values: ConstValues): (number | string)[] => Array.from(values as ArrayLike<number | string>);

function equalConstants(a: RecordedConstant, b: RecordedConstant): boolean {
  if (a.dtype !== b.dtype || a.shape.join() !== b.shape.join() || a.values.length !== b.values.length) return false;
  for (let i = 0; i < a.values.length; i++) if (!Object.is(a.values[i], b.values[i])) return false;
  return true;
}
