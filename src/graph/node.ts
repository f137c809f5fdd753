import { dtypeNumbers, type DType } from './dtypes.js';
import type { Monomial } from './product-flops.js';

export type NumberArray = Float32Array | Int32Array | Uint8Array;

/** A constant's contents: row-major values, or byte strings. */
export type ConstValues = NumberArray | Uint16Array | readonly string[];

/** The value of a NodeDef attribute: one variant a field of attr_value.proto that the engine writes. */
export type AttrValue =
  | { kind: 'type'; value: DType }
  | { kind: 'types'; value: readonly DType[] }
  | { kind: 'int'; value: number }
  | { kind: 'ints'; value: readonly number[] }
  | { kind: 'float'; value: number }
  | { kind: 'bool'; value: boolean }
  | { kind: 'string'; value: string }
  | { kind: 'shape'; value: readonly number[] }
  | { kind: 'shapes'; value: readonly (readonly number[])[] }
  | { kind: 'tensor'; dtype: DType; shape: readonly number[]; values: ConstValues };

export type Attrs = Readonly<Record<string, AttrValue>>;

/** One node of a TensorFlow graph. Inputs are `name` (output 0), `name:k`, or `^name` (control). */
export interface GraphNode {
  readonly name: string;
  readonly op: string;
  readonly inputs: readonly string[];
  readonly attrs: Attrs;
  /** Where it has to be computed, as `/device:CPU:0`; undefined: TensorFlow chooses. */
  readonly device?: string;
  /** Of a matrix product: its floating-point operations, where they are known. For whoever counts; it is not written. */
  readonly flops?: Monomial;
}

// The same object for the same dtype or boolean, because a program has thousands of them to compare.
const types = Object.fromEntries(
  (Object.keys(dtypeNumbers) as DType[]).map((value) => [value, { kind: 'type', value }]),
) as Readonly<Record<DType, AttrValue>>;
const [yes, no]: AttrValue[] = [true, false].map((value) => ({ kind: 'bool', value }));

export const attr = {
  type: (value: DType): AttrValue => types[value],
  types: (value: readonly DType[]): AttrValue => ({ kind: 'types', value }),
  int: (value: number): AttrValue => ({ kind: 'int', value }),
  bool: (value: boolean): AttrValue => (value ? yes! : no!),
  float: (value: number): AttrValue => ({ kind: 'float', value }),
  string: (value: string): AttrValue => ({ kind: 'string', value }),
  shape: (value: readonly number[]): AttrValue => ({ kind: 'shape', value }),
  shapes: (value: readonly (readonly number[])[]): AttrValue => ({ kind: 'shapes', value }),
  tensor: (dtype: DType, shape: readonly number[], values: ConstValues): AttrValue => ({
    kind: 'tensor',
    dtype,
    shape,
    values,
  }),
};

/** A stable text of an attribute, equal exactly where the attributes are equal. */
export function attrKey(value: AttrValue): string {
  if (value.kind === 'string' || value.kind === 'shapes') return `${value.kind}=${JSON.stringify(value.value)}`;
  if (value.kind !== 'tensor') return `${value.kind}=${String(value.value)}`;
  return `tensor=${value.dtype}[${value.shape.join()}]${contentsKey(value.values)}`;
}

/** 0 and -0 differ, as do the strings 'a,b' and 'a', 'b'. */
function contentsKey(values: ConstValues): string {
  if (!ArrayBuffer.isView(values)) return JSON.stringify(values);
  return Array.from(values, (number) => (Object.is(number, -0) ? '-0' : String(number))).join();
}

/** The numbers as a typed array of the dtype's kind. */
export function numberArray(dtype: DType, values: ArrayLike<number>): NumberArray {
  if (dtype === 'float32') return Float32Array.from(values);
  return dtype === 'bool' ? Uint8Array.from(values) : Int32Array.from(values);
}

/** Whether the attributes are the same under the same names, in the same order. */
export function equalAttrs(a: Attrs, b: Attrs): boolean {
  if (a === b) return true;
  const [names, others] = [Object.keys(a), Object.keys(b)];
  return (
    names.length === others.length &&
    names.every((name, i) => name === others[i] && (a[name] === b[name] || attrKey(a[name]!) === attrKey(b[name]!)))
  );
}

export function attrsKey(attrs: Attrs): string {
  return Object.keys(attrs)
    .sort()
    .map((name) => `${name}:${attrKey(attrs[name]!)}`)
    .join('|');
}

/** The node's name within an input reference: `^a` -> a, `a:1` -> a. */
export function nodeOf(reference: string): string {
  const start = reference.startsWith('^') ? 1 : 0;
  const colon = reference.lastIndexOf(':');
  return colon < 0 ? reference.slice(start) : reference.slice(start, colon);
}
