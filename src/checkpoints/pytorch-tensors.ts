import { UserError } from '../errors.js';
import { damagedFile, printable, readFully } from './file-bytes.js';
import { elementCount, readFloats, type FloatFormat } from './float-data.js';
import type { OpenFile } from './pickle-bytes.js';
import { describeValue, isKind, qualifiedName, type PickleStorage, type PickleTensor } from './pickle-values.js';
import type { PickleValue } from './pickle-values.js';

/** Tensors of a PyTorch file: views of storages, as torch/_utils.py rebuilds them. */

interface ElementType {
  readonly bytes: number;
  /** The class that old files and most tensors name the type by. */
  readonly storage: string | undefined;
  /** How it is read; undefined for types that are no weights. */
  readonly format?: FloatFormat;
}

/** PyTorch's element types by the name `str(dtype)` has. */
const elementTypes: ReadonlyMap<string, ElementType> = new Map<string, ElementType>([
  ['torch.float32', { bytes: 4, storage: 'FloatStorage', format: 'float32' }],
  ['torch.float16', { bytes: 2, storage: 'HalfStorage', format: 'float16' }],
  ['torch.bfloat16', { bytes: 2, storage: 'BFloat16Storage', format: 'bfloat16' }],
  ['torch.float64', { bytes: 8, storage: 'DoubleStorage', format: 'float64' }],
  ['torch.int64', { bytes: 8, storage: 'LongStorage' }],
  ['torch.int32', { bytes: 4, storage: 'IntStorage' }],
  ['torch.int16', { bytes: 2, storage: 'ShortStorage' }],
  ['torch.int8', { bytes: 1, storage: 'CharStorage' }],
  ['torch.uint8', { bytes: 1, storage: 'ByteStorage' }],
  ['torch.bool', { bytes: 1, storage: 'BoolStorage' }],
  ['torch.complex64', { bytes: 8, storage: 'ComplexFloatStorage' }],
  ['torch.complex128', { bytes: 16, storage: 'ComplexDoubleStorage' }],
  ['torch.uint16', { bytes: 2, storage: undefined }],
  ['torch.uint32', { bytes: 4, storage: undefined }],
  ['torch.uint64', { bytes: 8, storage: undefined }],
  ['torch.float8_e4m3fn', { bytes: 1, storage: undefined }],
  ['torch.float8_e5m2', { bytes: 1, storage: undefined }],
]);

/** The names that files give element types by: storage classes, dtypes, and storages of bytes. */
const dtypeOfGlobal: ReadonlyMap<string, string> = new Map([
  ...[...elementTypes.keys()].map((dtype): [string, string] => [dtype, dtype]),
  ...[...elementTypes].flatMap(([dtype, { storage }]): [string, string][] =>
    storage === undefined ? [] : [[`torch.${storage}`, dtype]],
  ),
  ['torch.storage.UntypedStorage', 'torch.uint8'],
  ['torch.storage._UntypedStorage', 'torch.uint8'],
  ['torch.UntypedStorage', 'torch.uint8'],
]);

export const isElementType = (global: string): boolean => dtypeOfGlobal.has(global);

/** The element type that a class or dtype names. */
function elementType(path: string, value: PickleValue | undefined): { readonly dtype: string; readonly bytes: number } {
  const dtype = isKind(value, 'global') ? dtypeOfGlobal.get(qualifiedName(value)) : undefined;
  const type = dtype === undefined ? undefined : elementTypes.get(dtype);
  if (dtype === undefined || type === undefined) {
    throw damagedFile(path, `the element type of a tensor is ${printable(describeValue(value))}`);
  }
  return { dtype, bytes: type.bytes };
}

/** What a pickle says of a storage: the tuple ('storage', class, key, device, number of elements, view). */
export interface StorageId {
  readonly key: string;
  readonly dtype: string;
  readonly elementBytes: number;
  readonly count: number;
  /** In old files, the part of another storage that this one is. */
  readonly view: PickleValue;
}

/** Throws UserError 'files' for anything else that files keep outside their pickle. */
export function parseStorageId(path: string, id: PickleValue): StorageId {
  const [tag, type, key, , count, view] = Array.isArray(id) ? id : [];
  if (tag === 'module') {
    throw new UserError(
      'files',
      `${path}: holds a whole model as a Python object, expected its tensors`,
      'Load it in Python with the code it was made by, and save torch.save(model.state_dict(), path).',
    );
  }
  if (tag !== 'storage') throw damagedFile(path, 'something other than a storage is kept outside the pickle');
  const { dtype, bytes } = elementType(path, type);
  // Keys are numbers in decimal; a key with a slash would be the name of something else in the archive.
  if (typeof key !== 'string' || !/^[0-9A-Za-z_-]{1,64}$/.test(key)) {
    throw damagedFile(
      path,
      `the name of a storage is ${typeof key === 'string' ? printable(key) : describeValue(key)}`,
    );
  }
  const elements = sizeOf(count);
  if (elements === undefined || elements * bytes > Number.MAX_SAFE_INTEGER) {
    throw damagedFile(path, `storage ${key} of ${describeValue(count)} elements`);
  }
  return { key, dtype, elementBytes: bytes, count: elements, view: view ?? null };
}

/** A count, size, stride or offset; undefined where it is none. */
export const sizeOf = (value: PickleValue | undefined): number | undefined =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;

// As many as PyTorch has.
const maxDimensions = 64;

/**
 * A tensor as `_rebuild_tensor(storage, offset, size, stride)` makes it. Throws UserError 'files' where it does not lie
 * within its storage.
 *
 * @param type the element type, where it is not the storage's (`_rebuild_tensor_v3`)
 */
export function viewOf(path: string, args: readonly PickleValue[], type?: PickleValue): PickleTensor {
  const [storage, start, size, stride] = args;
  if (!isKind(storage, 'storage')) throw damagedFile(path, `a tensor of ${printable(describeValue(storage))}`);
  const dtype = type === undefined ? storage.dtype : elementType(path, type).dtype;
  const offset = sizeOf(start);
  const shape = sizesOf(size);
  const strides = sizesOf(stride);
  if (offset === undefined || shape === undefined || strides?.length !== shape.length) {
    throw damagedFile(path, 'the shape of a tensor is not a list of sizes');
  }
  const tensor: PickleTensor = { kind: 'tensor', dtype, storage, offset, shape, strides };
  const elements = elementCount(shape);
  const available = storage.bytes / elementTypes.get(dtype)!.bytes;
  if (elements === undefined || elements > available || (elements > 0 && lastElement(tensor) >= available)) {
    throw damagedFile(
      path,
      `a tensor [${shape.join(', ')}] from element ${offset} on with strides [${strides.join(', ')}] is more than its ` +
        `storage of ${storage.bytes} bytes of ${storage.dtype}`,
    );
  }
  return tensor;
}

/** Copied, because a pickle may go on changing the list after the tensor has been checked. */
function sizesOf(value: PickleValue | undefined): number[] | undefined {
  if (!Array.isArray(value) || value.length > maxDimensions) return undefined;
  const sizes = value.map(sizeOf).filter((size) => size !== undefined);
  return sizes.length === value.length ? sizes : undefined;
}

/** Where the last element of a tensor that is not empty lies in its storage. Too large sums stay too large. */
const lastElement = ({ offset, shape, strides }: PickleTensor): number =>
  shape.reduce((last, size, axis) => last + (size - 1) * strides[axis]!, offset);

/** Reads a tensor as float32, row-major. Throws UserError 'files' for other types than floats of 16 to 64 bits. */
export function readTensor(file: OpenFile, name: string, tensor: PickleTensor): Float32Array {
  const { dtype, storage, offset, shape } = tensor;
  const { format, bytes: width } = elementTypes.get(dtype)!;
  const where = `${file.path}: tensor ${printable(name)}`;
  if (format === undefined) throw new UserError('files', `${where} is ${dtype}, expected a float of 16 to 64 bits`);
  const count = elementCount(shape)!;
  return readFloats(format, count, (bytes) => {
    if (count === 0) return;
    const start = storage.position() + offset * width;
    if (isContiguous(tensor)) {
      readFully(file.path, file.descriptor, bytes, start);
      return;
    }
    const span = new Uint8Array((lastElement(tensor) - offset + 1) * width);
    readFully(file.path, file.descriptor, span, start);
    gather(span, bytes, width, tensor);
  });
}

/** Whether the elements lie one after another in row-major order. */
function isContiguous({ shape, strides }: PickleTensor): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}

/** Copies elements of `width` bytes out of `span` in row-major order of the tensor's indices. */
function gather(span: Uint8Array, result: Uint8Array, width: number, { shape, strides }: PickleTensor): void {
  const index = shape.map(() => 0);
  let from = 0;
  for (let to = 0; to < result.length; to += width) {
    for (let i = 0; i < width; i++) result[to + i] = span[from + i]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]! * width;
      if (++index[axis]! < shape[axis]!) break;
      from -= strides[axis]! * width * shape[axis]!;
      index[axis] = 0;
    }
  }
}

/** A storage of the file at `position`, which has been found to hold it. */
export const storageOf = ({ dtype, elementBytes, count }: StorageId, position: () => number): PickleStorage => ({
  kind: 'storage',
  dtype,
  bytes: count * elementBytes,
  position,
});
