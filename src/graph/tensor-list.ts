import type { DType } from './dtypes.js';
import { attr, type Attrs } from './node.js';
import type { Recorder, Reference } from './recorder.js';
import { tf, type Tensor } from './tensorflow.js';
import { currentPlace, TraceError } from './trace-error.js';
import { tracingBackend } from './tracing-backend.js';

/**
 * A fixed number of places for tensors of one shape: what a loop collects, one tensor an iteration, or reads by number.
 * It is a value as a tensor is: `set` leaves the list as it was and returns a new one. A place that was never set holds
 * zeros (empty strings).
 */
export interface TensorList {
  /** The number of places; may be the size of a symbolic dimension. */
  readonly count: number;
  /** The shape of each tensor; may have symbolic sizes. */
  readonly shape: readonly number[];
  readonly dtype: ListDType;
  /** The list with `value` at a place, from 0 (int32 scalar). A place outside is an error when the list is computed. */
  set(place: Tensor, value: Tensor): TensorList;
  /** The tensor at a place, from 0 (int32 scalar). */
  get(place: Tensor): Tensor;
  /** All tensors as one, [count, ...shape]. */
  stack(): Tensor;
}

export type ListDType = 'float32' | 'int32' | 'bool' | 'string';

/** A list whose places hold zeros, in a graph or, where nothing is traced, in memory. */
export function tensorList(count: number, shape: readonly number[], dtype: ListDType = 'float32'): TensorList {
  if (isTracing()) return TracedList.reserve(count, shape, dtype);
  return new EagerList(
    Array.from({ length: count }, () => undefined),
    shape,
    dtype,
  );
}

export const isTracing = (): boolean => (tf.backend() as unknown) === tracingBackend;

const shapeText = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

function checkElement({ shape, dtype }: TensorList, value: Tensor): void {
  if (value.dtype === dtype && value.shape.join() === shape.join()) return;
  throw new TraceError(
    `a list of ${dtype} ${shapeText(shape)} is given ${value.dtype} ${shapeText(value.shape)}`,
    'TensorListSetItem',
    currentPlace(),
  );
}

/** Tensors of tfjs, or undefined for zeros. */
export class EagerList implements TensorList {
  constructor(
    readonly elements: readonly (Tensor | undefined)[],
    readonly shape: readonly number[],
    readonly dtype: ListDType,
  ) {}

  get count(): number {
    return this.elements.length;
  }

  set(place: Tensor, value: Tensor): TensorList {
    checkElement(this, value);
    return new EagerList(this.elements.with(this.indexOf(place), value), this.shape, this.dtype);
  }

  get(place: Tensor): Tensor {
    const element = this.elements[this.indexOf(place)];
    return element === undefined ? this.zeros(this.shape) : tf.clone(element);
  }

  stack(): Tensor {
    const { count } = this;
    if (count === 0) return tf.tensor([], [0, ...this.shape], this.dtype);
    return tf.stack(this.elements.map((element) => element ?? this.zeros(this.shape)));
  }

  private zeros(shape: readonly number[]): Tensor {
    return this.dtype === 'string' ? tf.fill([...shape], '', 'string') : tf.zeros([...shape], this.dtype);
  }

  private indexOf(place: Tensor): number {
    const index = Number(place.dataSync()[0]);
    if (index >= 0 && index < this.count) return index;
    throw new RangeError(`place ${index} is outside a tensor list of ${this.count}`);
  }
}

/** TensorFlow's own list (tensorflow/core/ops/list_ops.cc), a tensor of dtype variant, which tfjs does not know. */
export class TracedList implements TensorList {
  readonly #reference: Reference;
  readonly #recorder: Recorder;

  constructor(
    reference: Reference,
    readonly count: number,
    readonly shape: readonly number[],
    readonly dtype: ListDType,
  ) {
    this.#reference = reference;
    this.#recorder = tracingBackend.active;
  }

  static reserve(count: number, shape: readonly number[], dtype: ListDType): TracedList {
    const places = tracingBackend.reference(tf.scalar(count, 'int32'), 'TensorListReserve');
    const attrs = { element_dtype: attr.type(dtype), shape_type: attr.type('int32') };
    const list = record('TensorListReserve', attrs, [sizes(shape), places], 'variant');
    return new TracedList(list, count, shape, dtype);
  }

  set(place: Tensor, value: Tensor): TensorList {
    checkElement(this, value);
    const op = 'TensorListSetItem';
    const inputs = [this.reference(op), tracingBackend.reference(place, op), tracingBackend.reference(value, op)];
    return this.with(record(op, { element_dtype: attr.type(this.dtype) }, inputs, 'variant'));
  }

  get(place: Tensor): Tensor {
    const op = 'TensorListGetItem';
    const inputs = [this.reference(op), tracingBackend.reference(place, op), sizes(this.shape)];
    return this.tensor(this.shape, record(op, { element_dtype: attr.type(this.dtype) }, inputs, this.dtype));
  }

  stack(): Tensor {
    const op = 'TensorListStack';
    const attrs = { element_dtype: attr.type(this.dtype), num_elements: attr.int(-1) };
    const stacked = record(op, attrs, [this.reference(op), sizes(this.shape)], this.dtype);
    return this.tensor([this.count, ...this.shape], stacked);
  }

  /** The list as another node computes it. */
  with(reference: Reference): TracedList {
    return new TracedList(reference, this.count, this.shape, this.dtype);
  }

  reference(op: string): Reference {
    if (this.#recorder !== tracingBackend.active) {
      throw new TraceError('a tensor list of a finished trace is used', op, currentPlace());
    }
    this.#recorder.checkScope(this.#reference, op);
    return this.#reference;
  }

  private tensor(shape: readonly number[], reference: Reference): Tensor {
    return tracingBackend.abstract({ shape, dtype: this.dtype }, reference);
  }
}

function record(op: string, attrs: Attrs, inputs: readonly Reference[], dtype: DType): Reference {
  return { node: tracingBackend.active.add({ op, attrs, inputs, outputs: [dtype] }), output: 0 };
}

/** A shape as a tensor, symbolic sizes included. */
const sizes = (shape: readonly number[]): Reference =>
  tracingBackend.reference(tf.tensor1d([...shape], 'int32'), 'TensorList');
