import { UserError } from '../errors.js';
import { damagedFile, printable } from './file-bytes.js';
import { ByteReader, type OpenFile } from './pickle-bytes.js';
import { readPickle, type PickleEnvironment } from './pickle.js';
import { describeValue, field, type PickleStorage, type PickleValue } from './pickle-values.js';
import { pytorchEnvironment } from './pytorch-globals.js';
import { parseStorageId, sizeOf, storageOf, type StorageId } from './pytorch-tensors.js';

/**
 * The layout before PyTorch 1.6: five pickles (a magic number, the format's version, facts about the machine, the
 * value, the keys of its storages), then the storages in the order of the keys, each after its number of elements.
 * `_legacy_save` in torch/serialization.py
 */

const magicNumber = 0x1950a86a20f9469cfc6cn;
const formatVersion = 1001;

/** Whether the first bytes of a file are those of the magic number's pickle, in protocols 2 to 5. */
export const isLegacyLayout = (start: Buffer): boolean =>
  start[0] === 0x80 && start.includes(Buffer.from('8a0a6cfc9c46f920', 'hex'));

/** Reads the pickles and finds the storages. Throws UserError 'files'. */
export function readLegacyLayout(file: OpenFile): PickleValue {
  const { path } = file;
  const reader = new ByteReader(file, 0, file.size);
  readPreamble(path, reader);
  const storages = new LegacyStorages(file);
  const value = readPickle(
    reader,
    pytorchEnvironment(path, (id) => storages.load(id)),
  );
  storages.locate(reader, readPickle(reader, plainEnvironment(path)));
  return value;
}

function readPreamble(path: string, reader: ByteReader): void {
  const [magic, version, machine] = [1, 2, 3].map(() => readPickle(reader, plainEnvironment(path)));
  if (magic !== magicNumber) throw damagedFile(path, 'the magic number of torch.save is missing');
  if (version !== formatVersion) {
    throw damagedFile(path, `version ${printable(describeValue(version))} of the format, expected ${formatVersion}`);
  }
  if (field(machine, 'little_endian') !== true) {
    throw new UserError(
      'files',
      `${path}: the tensors are not little-endian`,
      'Load it in Python on a little-endian machine (x86, ARM) and save it again.',
    );
  }
}

/** For pickles that hold numbers and strings only. */
function plainEnvironment(path: string): PickleEnvironment {
  const refuse = (): never => {
    throw damagedFile(path, 'a class or storage where numbers and strings are expected');
  };
  return { find: refuse, call: refuse, load: refuse };
}

/** A storage of its own in the file, which storages of the pickle are parts of. */
interface Root {
  readonly id: StorageId;
  position: number | undefined;
}

class LegacyStorages {
  readonly #file: OpenFile;
  readonly #roots = new Map<string, Root>();
  /** By key, and where it is a part of another, the part. */
  readonly #storages = new Map<string, PickleStorage>();

  constructor(file: OpenFile) {
    this.#file = file;
  }

  /** The storage of a persistent id; where it lies is known once `locate` has been called. */
  load(value: PickleValue): PickleStorage {
    const { path, size } = this.#file;
    const id = parseStorageId(path, value);
    const { key, elementBytes, count } = id;
    if (count * elementBytes > size) {
      throw damagedFile(path, `storage ${key} of ${count * elementBytes} bytes in a file of ${size}`);
    }
    const root = this.#roots.get(key) ?? { id, position: undefined };
    this.#roots.set(key, root);
    if (root.id.dtype !== id.dtype || root.id.count !== count) {
      throw damagedFile(path, `storage ${key} has two sizes`);
    }
    const [part, offset, length] = this.#part(id);
    const name = `${key} ${part} ${offset} ${length}`;
    const known = this.#storages.get(name);
    if (known !== undefined) return known;
    const position = (): number => {
      if (root.position === undefined) throw new Error('a storage is read before its place is known');
      return root.position + offset * elementBytes;
    };
    const storage = storageOf({ ...id, count: length }, position);
    this.#storages.set(name, storage);
    return storage;
  }

  /** The part of the storage that is meant: the name of the part, its first element, and its number of elements. */
  #part({ key, count, view }: StorageId): readonly [string, number, number] {
    if (view === null) return ['', 0, count];
    const [name, first, second] = Array.isArray(view) ? view : [];
    const offset = sizeOf(first);
    const length = sizeOf(second);
    if (typeof name !== 'string' || offset === undefined || length === undefined || offset + length > count) {
      throw damagedFile(this.#file.path, `a part of storage ${key} lies outside of it`);
    }
    return [name, offset, length];
  }

  /** Finds the storages after the pickles, and that each has the length the pickle says. */
  locate(reader: ByteReader, keys: PickleValue): void {
    const { path, descriptor, size } = this.#file;
    if (!Array.isArray(keys)) throw damagedFile(path, 'the list of storages is missing');
    let position = reader.position;
    for (const key of keys) {
      const root = typeof key === 'string' ? this.#roots.get(key) : undefined;
      if (root === undefined || root.position !== undefined) {
        throw damagedFile(path, 'the list of storages is not that of the tensors');
      }
      const { id } = root;
      const count = new ByteReader({ path, descriptor, size }, position, size).take(8).readBigInt64LE();
      if (count !== BigInt(id.count)) {
        throw damagedFile(path, `storage ${id.key} has ${count} elements, expected ${id.count}`);
      }
      root.position = position + 8;
      position += 8 + id.count * id.elementBytes;
      if (position > size) throw damagedFile(path, `the file ends at byte ${size}, inside storage ${id.key}`);
    }
    const missing = [...this.#roots.values()].find((root) => root.position === undefined);
    if (missing !== undefined) throw damagedFile(path, `storage ${missing.id.key} is missing`);
  }
}
