import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { isUtf8 } from 'node:buffer';
import { UserError } from '../errors.js';
import { decodeEntry, decodeHeader, type BundleEntry } from './bundle-proto.js';
import { damagedFile, fileSize, printable, refuseGitLfs } from './file-bytes.js';
import { elementCount, type FloatFormat } from './float-data.js';
import { isSliceKey } from './slice-key.js';
import { isSortedTable, readSortedTable } from './sorted-table.js';

/** The index of a tensor bundle: what lies where, checked before anything is read or reserved. */

export interface DataType {
  readonly name: string;
  /** Bytes of one value, where all values have the same. */
  readonly bytes?: number;
  readonly format?: FloatFormat;
}

/** TensorFlow's framework/types.proto. */
const dataTypes: ReadonlyMap<number, DataType> = new Map<number, DataType>([
  [1, { name: 'DT_FLOAT', bytes: 4, format: 'float32' }],
  [2, { name: 'DT_DOUBLE', bytes: 8, format: 'float64' }],
  [3, { name: 'DT_INT32', bytes: 4 }],
  [4, { name: 'DT_UINT8', bytes: 1 }],
  [5, { name: 'DT_INT16', bytes: 2 }],
  [6, { name: 'DT_INT8', bytes: 1 }],
  [7, { name: 'DT_STRING' }],
  [8, { name: 'DT_COMPLEX64', bytes: 8 }],
  [9, { name: 'DT_INT64', bytes: 8 }],
  [10, { name: 'DT_BOOL', bytes: 1 }],
  [11, { name: 'DT_QINT8', bytes: 1 }],
  [12, { name: 'DT_QUINT8', bytes: 1 }],
  [13, { name: 'DT_QINT32', bytes: 4 }],
  [14, { name: 'DT_BFLOAT16', bytes: 2, format: 'bfloat16' }],
  [15, { name: 'DT_QINT16', bytes: 2 }],
  [16, { name: 'DT_QUINT16', bytes: 2 }],
  [17, { name: 'DT_UINT16', bytes: 2 }],
  [18, { name: 'DT_COMPLEX128', bytes: 16 }],
  [19, { name: 'DT_HALF', bytes: 2, format: 'float16' }],
  [20, { name: 'DT_RESOURCE' }],
  [21, { name: 'DT_VARIANT' }],
  [22, { name: 'DT_UINT32', bytes: 4 }],
  [23, { name: 'DT_UINT64', bytes: 8 }],
]);

const typeOf = (dtype: number): DataType => dataTypes.get(dtype) ?? { name: `DT_${dtype}` };

/** An index, read and checked against the sizes of the data files. */
export interface Bundle {
  readonly prefix: string;
  readonly shards: number;
  /** By key; a key is bytes, of which a string of latin1 is one spelling. */
  readonly entries: ReadonlyMap<string, Entry>;
}

export interface Entry {
  readonly key: Buffer;
  /** For messages. */
  readonly name: string;
  readonly type: DataType;
  readonly shape: readonly number[];
  /** The number of values. */
  readonly count: number;
  readonly proto: BundleEntry;
}

export const indexPath = (prefix: string): string => `${prefix}.index`;

/** Named after the prefix alone: an index cannot point at any other file. */
export const shardPath = (prefix: string, shard: number, shards: number): string =>
  `${prefix}.data-${String(shard).padStart(5, '0')}-of-${String(shards).padStart(5, '0')}`;

// 100,000 tensors take some 6 MB.
const maxIndexBytes = 1 << 25;
// The names of the data files have five digits for it.
const maxShards = 99_999;
// Bundles are of version 1 since there are any; TensorFlow refuses what asks for a later reader.
const supportedVersion = 1;

/** Reads and checks `prefix.index`. Throws UserError 'files' where a file is missing, damaged, or not supported. */
export function readIndex(prefix: string): Bundle {
  const path = indexPath(prefix);
  refuseOldCheckpoint(prefix);
  const size = fileSize(path);
  if (size > maxIndexBytes) throw damagedFile(path, `${size} bytes, more than the ${maxIndexBytes} of any real index`);
  let shards: number | undefined;
  const entries = new Map<string, Entry>();
  const bytes = readFileSync(path);
  refuseGitLfs(path, bytes.subarray(0, 64));
  for (const { key, value } of readSortedTable(path, bytes)) {
    if (shards === undefined) {
      // The empty key, which comes before all others.
      if (key.length > 0) throw damagedFile(path, 'the header is missing');
      shards = readHeader(path, value);
    } else {
      entries.set(key.toString('latin1'), readEntry(path, key, value, shards));
    }
  }
  if (shards === undefined) throw damagedFile(path, 'the header is missing');
  const bundle = { prefix, shards, entries };
  checkPlaces(bundle);
  return bundle;
}

/** Before 2016 a checkpoint was one file, or several, without an index. */
function refuseOldCheckpoint(prefix: string): void {
  if (statSync(indexPath(prefix), { throwIfNoEntry: false }) !== undefined) return;
  if (statSync(prefix, { throwIfNoEntry: false })?.isFile() !== true) return;
  const file = openSync(prefix, 'r');
  const end = Buffer.alloc(8);
  try {
    readSync(file, end, 0, 8, Math.max(0, fileSize(prefix) - 8));
  } finally {
    closeSync(file);
  }
  if (!isSortedTable(end)) return;
  throw new UserError(
    'files',
    `${prefix} is a TensorFlow checkpoint of version 1 (a single file), expected version 2 (${indexPath(prefix)})`,
    'Restore it with tf.compat.v1.train.Saver in Python and save it again: that writes version 2.',
  );
}

function readHeader(path: string, bytes: Buffer): number {
  const { numShards, endianness, version } = decodeHeader(path, bytes);
  if (numShards > maxShards) throw damagedFile(path, `${numShards} data files, expected at most ${maxShards}`);
  if (endianness === 1) {
    throw new UserError(
      'files',
      `${path}: the checkpoint was written on a big-endian machine, which is not supported`,
      'Restore it with TensorFlow on a little-endian machine and save it again.',
    );
  }
  if (endianness !== 0) throw damagedFile(path, `the header has the unknown byte order ${endianness}`);
  const needed = version?.minConsumer ?? 0;
  if (needed > supportedVersion) {
    throw new UserError(
      'files',
      `${path}: the format needs a reader of version ${needed}, this is ${supportedVersion}`,
    );
  }
  return numShards;
}

// TensorFlow's own limit.
const maxRank = 254;

function readEntry(path: string, key: Buffer, value: Buffer, shards: number): Entry {
  if (!isSliceKey(key) && !isUtf8(key)) {
    throw damagedFile(path, `the name ${printable(key.toString('latin1'))} is not UTF-8`);
  }
  const name = isSliceKey(key) ? `the slice ${key.toString('latin1')}` : key.toString('utf8');
  const proto = decodeEntry(path, name, value);
  const type = typeOf(proto.dtype);
  const shape = (proto.shape?.dim ?? []).map(({ size }) => size);
  if (shape.length > maxRank) throw damagedFile(path, `${printable(name)} has ${shape.length} dimensions`);
  const what = `${printable(name)} [${shape.join(', ')}] of ${type.name}`;
  const count = elementCount(shape);
  if (count === undefined) throw damagedFile(path, `${what} has more than 2^53 values`);
  if (proto.slices.length === 0) {
    if (proto.shardId >= shards) throw damagedFile(path, `${what} lies in data file ${proto.shardId} of ${shards}`);
    if (type.bytes !== undefined && proto.size !== count * type.bytes) {
      throw damagedFile(path, `${what} has ${proto.size} bytes`);
    }
  }
  return { key, name, type, shape, count, proto };
}

/**
 * Compares every byte range with the real sizes of the data files. Together they cannot be more than there is either:
 * otherwise a small file could make its reader reserve any amount of memory, by slices that share their bytes.
 */
function checkPlaces({ prefix, shards, entries }: Bundle): void {
  const sizes = new Map<number, number>();
  let claimed = 0;
  for (const { name, proto } of entries.values()) {
    if (proto.slices.length > 0) continue;
    const path = shardPath(prefix, proto.shardId, shards);
    const size = sizes.get(proto.shardId) ?? fileSize(path);
    sizes.set(proto.shardId, size);
    const end = proto.offset + proto.size;
    if (end > size) throw damagedFile(path, `${printable(name)} ends at byte ${end}, the file at ${size}`);
    claimed += proto.size;
  }
  const present = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  if (claimed > present) {
    throw damagedFile(indexPath(prefix), `its tensors take ${claimed} bytes, the data files have ${present}`);
  }
}
