import { dtypeOfNumber, isDType, type DType } from './dtypes.js';
import { attr, numberArray, type Attrs, type AttrValue } from './node.js';
import { flopsOfOp } from './product-flops.js';
import type { Recorder, RecordedConstant, Reference } from './recorder.js';
import { shapeRules, type KnownTensor } from './shape-rules.js';
import {
  nodeBackend,
  tf,
  type BackendValues,
  type DataType,
  type OpAttr,
  type Tensor,
  type TensorInfo,
} from './tensorflow.js';
import { currentPlace, TraceError } from './trace-error.js';

const backendName = 't4-graph';

interface Entry {
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** Known contents: of a constant, or of a shape computed while tracing. */
  readonly values: BackendValues | undefined;
  /** Where the value comes from in the graph; a constant gets one when it is first used. */
  reference: Reference | undefined;
  refCount: number;
}

/**
 * A backend of tfjs-core that computes nothing: every op is appended to a recorder, and its result is a
 * tensor with a shape and a dtype only. tfjs-core differentiates through it unaware of that.
 */
class TracingBackend extends tf.KernelBackend {
  readonly binding = nodeBackend.binding;
  readonly isGPUPackage = false;
  private readonly entries = new Map<object, Entry>();
  /** What is known of the outputs of recorded nodes, by `node:output`. */
  private readonly known = new Map<string, KnownTensor>();
  /** The ids of all tensors ever traced, to tell one that is gone from one of another backend. */
  private readonly traced = new WeakSet();
  private recorder: Recorder | undefined;

  begin(recorder: Recorder): void {
    if (this.recorder !== undefined) throw new TraceError('a trace is already running', undefined, currentPlace());
    this.recorder = recorder;
  }

  end(): void {
    this.recorder = undefined;
    this.entries.clear();
    this.known.clear();
  }

  get active(): Recorder {
    if (this.recorder === undefined) {
      throw new TraceError('a tensor of a finished trace is used', undefined, currentPlace());
    }
    return this.recorder;
  }

  // tfjs-core's storage interface: constants keep their values, traced tensors have none.

  override write(values: BackendValues, shape: number[], dtype: DataType): object {
    const id = {};
    this.move(id, values, shape, dtype, 1);
    return id;
  }

  override move(id: object, values: BackendValues, shape: number[], dtype: DataType, refCount: number): void {
    this.addEntry(id, { shape, dtype: asDType(dtype), values, reference: undefined, refCount });
  }

  override readSync(id: object): BackendValues {
    const { values, reference } = this.entryOf(id);
    if (values === undefined) {
      throw new TraceError(
        'the value of its result is read while the function is traced; it is known only when the graph runs',
        reference && this.active.nodes[reference.node]?.op,
        currentPlace(),
      );
    }
    return values;
  }

  override read(id: object): Promise<BackendValues> {
    return Promise.resolve(this.readSync(id));
  }

  override disposeData(id: object): boolean {
    const entry = this.entries.get(id);
    if (entry !== undefined && --entry.refCount > 0) return false;
    this.entries.delete(id);
    return true;
  }

  override refCount(id: object): number {
    return this.entries.get(id)?.refCount ?? 0;
  }

  override incRef(id: object): void {
    this.entryOf(id).refCount++;
  }

  override numDataIds(): number {
    return this.entries.size;
  }

  override epsilon(): number {
    return 1e-7;
  }

  override floatPrecision(): 32 {
    return 32;
  }

  override dispose(): void {
    this.entries.clear();
  }

  // What tfjs-node's kernels call to compute.

  executeSingleInput(op: string, x: TensorInfo): Tensor {
    return this.executeSingleOutput(op, [this.typeAttr('T', asDType(x.dtype))], [x]);
  }

  executeSingleOutput(op: string, attrs: OpAttr[], inputs: TensorInfo[]): Tensor {
    return this.record(op, this.convertAttrs(op, attrs, inputs), inputs)[0]!;
  }

  executeMultipleOutputs(op: string, attrs: OpAttr[], inputs: TensorInfo[]): Tensor[] {
    return this.record(op, this.convertAttrs(op, attrs, inputs), inputs);
  }

  createReductionOpAttrs(x: TensorInfo, keepDims = false): OpAttr[] {
    return [
      { name: 'keep_dims', type: this.binding.TF_ATTR_BOOL, value: keepDims },
      this.typeAttr('T', asDType(x.dtype)),
      this.typeAttr('Tidx', 'int32'),
    ];
  }

  getDTypeInteger(dtype: DataType): unknown {
    return asDType(dtype);
  }

  applyActivation(...args: unknown[]): Tensor {
    return nodeBackend.applyActivation(...args);
  }

  /** Records what `body` asks for so that it runs only when `tensor` is computed. */
  after<T>(tensor: TensorInfo, body: () => T): T {
    return this.active.after(this.reference(tensor, 'after').node, body);
  }

  /** A tensor that stands for an output of a recorded node. */
  abstract(known: KnownTensor, reference: Reference): Tensor {
    const dataId = {};
    this.known.set(`${reference.node}:${reference.output}`, known);
    const values = known.values && numberArray(known.dtype, known.values);
    this.addEntry(dataId, { shape: known.shape, dtype: known.dtype, values, reference, refCount: 1 });
    return tf.engine().makeTensorFromTensorInfo({
      dataId,
      shape: [...known.shape],
      dtype: known.dtype as DataType,
    });
  }

  /** A tensor that stands once more for an output of a recorded node. */
  recorded(reference: Reference): Tensor {
    const known = this.known.get(`${reference.node}:${reference.output}`);
    if (known === undefined) throw new TraceError('nothing is known of a recorded value', undefined, currentPlace());
    return this.abstract(known, reference);
  }

  /** Records an op with the attributes of another. It has one output. */
  repeat(op: string, attrs: Attrs, inputs: readonly TensorInfo[]): Tensor {
    return this.record(op, attrs, inputs)[0]!;
  }

  /** The graph output a tensor stands for; a constant is put into the graph at its first use. */
  reference(tensor: TensorInfo, op: string): Reference {
    const entry = this.entryOf(tensor.dataId, op);
    entry.reference ??= this.constant(entry);
    this.active.checkScope(entry.reference, op);
    return entry.reference;
  }

  private constant(entry: Entry): Reference {
    const { shape, dtype, values } = constantOf(entry);
    const reference = this.active.constant({ shape, dtype, values });
    const numbers = ArrayBuffer.isView(values) ? { values } : {};
    this.known.set(`${reference.node}:0`, { shape, dtype, ...numbers });
    return reference;
  }

  private addEntry(id: object, entry: Entry): void {
    this.entries.set(id, entry);
    this.traced.add(id);
  }

  private record(op: string, attrs: Attrs, inputs: readonly TensorInfo[]): Tensor[] {
    const rule = shapeRules[op];
    if (rule === undefined) {
      throw new TraceError('this TensorFlow op has no shape rule, so it cannot be traced', op, currentPlace());
    }
    const references = inputs.map((input) => this.reference(input, op));
    const outputs = this.inferShapes(op, attrs, inputs, rule);
    const flops = flopsOfOp(op, attrs, inputs, outputs[0]?.shape ?? []);
    const node = this.active.add({
      op,
      attrs,
      inputs: references,
      outputs: outputs.map(({ dtype }) => dtype),
      ...(flops === undefined ? {} : { flops }),
    });
    return outputs.map((output, index) => this.abstract(output, { node, output: index }));
  }

  private inferShapes(
    op: string,
    attrs: Attrs,
    inputs: readonly TensorInfo[],
    rule: (inputs: readonly KnownTensor[], attrs: Attrs) => KnownTensor[],
  ): KnownTensor[] {
    const known = inputs.map((input): KnownTensor => {
      const { values } = this.entryOf(input.dataId, op);
      const numeric = values instanceof Int32Array || values instanceof Float32Array ? { values } : {};
      return { shape: input.shape, dtype: asDType(input.dtype), ...numeric };
    });
    try {
      return rule(known, attrs);
    } catch (error) {
      throw new TraceError(error instanceof Error ? error.message : String(error), op, currentPlace());
    }
  }

  private entryOf(id: object, op?: string): Entry {
    const entry = this.entries.get(id);
    if (entry !== undefined) return entry;
    const message = this.traced.has(id)
      ? 'a tensor that was disposed or belongs to a finished trace is used'
      : 'a tensor of another backend is used in a traced function; pass it as an input or make it inside';
    throw new TraceError(message, op, currentPlace());
  }

  private typeAttr(name: string, dtype: DType): OpAttr {
    return { name, type: this.binding.TF_ATTR_TYPE, value: dtype };
  }

  private convertAttrs(op: string, list: readonly OpAttr[], inputs: readonly TensorInfo[]): Attrs {
    const attrs: Record<string, AttrValue> = { ...completeAttrs(op, inputs) };
    for (const { name, type, value } of list) attrs[name] = this.convertAttr(op, name, type, value);
    return attrs;
  }

  private convertAttr(op: string, name: string, type: number, value: unknown): AttrValue {
    const { binding } = this;
    const integers = Array.isArray(value) && value.every((v): v is number => typeof v === 'number') ? value : undefined;
    const dtype = isDType(value) ? value : dtypeOfNumber(Number(value));
    if (type === binding.TF_ATTR_TYPE && dtype !== undefined) return attr.type(dtype);
    if (type === binding.TF_ATTR_SHAPE && integers !== undefined) return attr.shape(integers);
    if (type === binding.TF_ATTR_INT && integers !== undefined) return { kind: 'ints', value: integers };
    if (type === binding.TF_ATTR_INT && typeof value === 'number') return attr.int(value);
    if (type === binding.TF_ATTR_BOOL) return attr.bool(Boolean(value));
    if (type === binding.TF_ATTR_FLOAT && typeof value === 'number') return attr.float(value);
    if (type === binding.TF_ATTR_STRING && typeof value === 'string') return attr.string(value);
    throw new TraceError(`attribute ${name} has a form the engine does not know`, op, currentPlace());
  }
}

/** Attributes that eager execution infers by itself, but that a graph needs spelled out. */
function completeAttrs(op: string, inputs: readonly TensorInfo[]): Record<string, AttrValue> {
  const first = inputs[0];
  if (op !== 'ExpandDims' || first === undefined) return {};
  return { T: attr.type(asDType(first.dtype)), Tdim: attr.type('int32') };
}

function asDType(dtype: string): DType {
  if (!isDType(dtype)) throw new TraceError(`dtype ${dtype} cannot be traced`, undefined, currentPlace());
  return dtype;
}

function constantOf({ shape, dtype, values }: Entry): RecordedConstant {
  if (values instanceof Float32Array || values instanceof Int32Array || values instanceof Uint8Array) {
    return { dtype, shape, values };
  }
  if (Array.isArray(values) && dtype === 'string') {
    return {
      dtype,
      shape,
      values: values.map((value) => (typeof value === 'string' ? value : Buffer.from(value).toString())),
    };
  }
  if (Array.isArray(values)) {
    return { dtype, shape, values: numberArray(dtype, values.map(Number)) };
  }
  throw new TraceError('a tensor without a value is used as a constant', undefined, currentPlace());
}

export const tracingBackend = new TracingBackend();

tf.registerBackend(backendName, () => tracingBackend);
for (const kernel of tf.getKernelsForBackend('tensorflow')) {
  const { kernelName, kernelFunc } = kernel;
  tf.registerKernel({ kernelName, backendName, kernelFunc });
}
// tfjs-node's own kernel reads the indices back to check them; here they have no values.
tf.unregisterKernel('GatherV2', backendName);
tf.registerKernel({
  kernelName: 'GatherV2',
  backendName,
  kernelFunc: ({ inputs, attrs }) => {
    const { x, indices } = inputs as { x: TensorInfo; indices: TensorInfo };
    const { axis, batchDims } = attrs as unknown as { axis: number; batchDims: number };
    const { TF_ATTR_INT, TF_ATTR_TYPE } = tracingBackend.binding;
    return tracingBackend.executeSingleOutput(
      'GatherV2',
      [
        { name: 'batch_dims', type: TF_ATTR_INT, value: batchDims },
        { name: 'Tparams', type: TF_ATTR_TYPE, value: x.dtype },
        { name: 'Tindices', type: TF_ATTR_TYPE, value: indices.dtype },
        { name: 'Taxis', type: TF_ATTR_TYPE, value: 'int32' },
      ],
      [x, indices, tf.scalar(axis, 'int32')],
    );
  },
});

/** Runs `body` with the tracing backend active, and puts the former backend back whatever happens. */
export function withTracing<T>(recorder: Recorder, body: () => T): T {
  const former = tf.getBackend();
  tracingBackend.begin(recorder);
  // A registered backend with a synchronous factory is active when the call returns.
  void tf.setBackend(backendName);
  try {
    tf.engine().startScope('trace');
    return body();
  } finally {
    tf.engine().endScope();
    tracingBackend.end();
    void tf.setBackend(former);
  }
}
