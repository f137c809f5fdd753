/**
 * What a Python pickle is read as: plain values, and records for everything that Python would call a class for.
 *
 * A pickle may refer to the same value many times, and to a value from within itself: whoever walks through one goes
 * down by name (`field`), never through everything.
 */
export type PickleValue =
  | null
  | boolean
  /** Python's int within 2^53, and its float. */
  | number
  /** Python's int beyond 2^53. */
  | bigint
  | string
  /** Python's bytes and bytearray, and a string of Python 2 that is not UTF-8. */
  | Uint8Array
  /** Python's list, tuple and torch.Size. */
  | PickleValue[]
  | Set<PickleValue>
  /** Python's dict and its relatives in `collections`. */
  | Map<PickleValue, PickleValue>
  | PickleGlobal
  | PickleObject
  | PickleStorage
  | PickleTensor;

/** A class or function by its name; nothing is imported. */
export interface PickleGlobal {
  readonly kind: 'global';
  readonly module: string;
  readonly name: string;
}

/** An instance of a class that is only looked at: what Python would have called the class with, and its state. */
export interface PickleObject {
  readonly kind: 'object';
  readonly module: string;
  readonly name: string;
  readonly args: readonly PickleValue[];
  /** What `__setstate__` would get: mostly a Map with the attributes. */
  state: PickleValue | undefined;
  /** What it holds where the class is a kind of dict. */
  entries: Map<PickleValue, PickleValue> | undefined;
  /** What it holds where the class is a kind of list. */
  elements: PickleValue[] | undefined;
}

/** A run of numbers in the file, which tensors are views of. */
export interface PickleStorage {
  readonly kind: 'storage';
  /** PyTorch's name of the element type: `torch.float32`. */
  readonly dtype: string;
  /** Its length in bytes; the file has been found to hold as many. */
  readonly bytes: number;
  /** Where it begins in the file. */
  readonly position: () => number;
}

/** A view of a storage, checked to lie within it. Offset and strides are in elements. */
export interface PickleTensor {
  readonly kind: 'tensor';
  readonly dtype: string;
  readonly storage: PickleStorage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

type Kind = 'global' | 'object' | 'storage' | 'tensor';
type Record<K extends Kind> = Extract<PickleValue, { readonly kind: K }>;

export function isKind<K extends Kind>(value: PickleValue | undefined, kind: K): value is Record<K> {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === kind;
}

/** `module.name` of a class or of an instance of one. */
export const qualifiedName = ({ module, name }: PickleGlobal | PickleObject): string => `${module}.${name}`;

/**
 * An entry of a dict or an attribute of an object by its name; undefined where there is none. In a configuration of
 * OmegaConf (what fairseq keeps as `cfg`) the entry is in `_content`, and a node's value in `_val`.
 */
export function field(value: PickleValue | undefined, name: string): PickleValue | undefined {
  if (value instanceof Map) return value.get(name);
  if (!isKind(value, 'object')) return undefined;
  const attributes = value.state instanceof Map ? value.state : undefined;
  const content = inOmegaConf(value) ? attributes?.get('_content') : undefined;
  const found = content instanceof Map ? content.get(name) : (value.entries?.get(name) ?? attributes?.get(name));
  if (isKind(found, 'object') && inOmegaConf(found) && found.state instanceof Map && found.state.has('_val')) {
    return found.state.get('_val');
  }
  return found;
}

const inOmegaConf = ({ module }: PickleObject): boolean => module.startsWith('omegaconf.');

/** A value in a few words, for messages. */
export function describeValue(value: PickleValue | undefined): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'None';
  if (typeof value === 'string') return 'a string';
  if (typeof value !== 'object') return String(value);
  if (value instanceof Map) return 'a dict';
  if (value instanceof Set) return 'a set';
  if (value instanceof Uint8Array) return 'bytes';
  if (Array.isArray(value)) return 'a list';
  return value.kind === 'global' || value.kind === 'object'
    ? `${value.kind === 'global' ? 'the class' : 'an instance of'} ${qualifiedName(value)}`
    : `a ${value.kind}`;
}
