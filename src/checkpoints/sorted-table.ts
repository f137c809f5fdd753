import { UserError } from '../errors.js';
import { damagedFile } from './file-bytes.js';
import { maskedCrc32c } from './masked-crc.js';

/**
 * The sorted table of LevelDB as TensorFlow writes it (tensorflow/core/lib/io/{format,block,table_builder}.cc): data
 * blocks, an empty block for metadata, an index block (last key of each data block -> its place), and a footer that
 * places the last two. A block is entries, the offsets of those that do not share a prefix, a type byte and a CRC.
 */

export interface TableEntry {
  readonly key: Buffer;
  readonly value: Buffer;
}

const footerBytes = 48;
const trailerBytes = 5;
const magic = 0xdb4775248b80fb57n;
const [uncompressed, snappy] = [0, 1];

// Keys are prefix-compressed: a small file could claim long keys by the million. Real ones are a hundred bytes long.
const maxKeyBytes = 16_384;
const maxAllKeyBytes = 1 << 27;

export const isSortedTable = (footer: Buffer): boolean =>
  footer.length >= 8 && footer.readBigUInt64LE(footer.length - 8) === magic;

/**
 * The entries in the order of their keys, which must ascend over the whole file.
 *
 * @param path the file's name, for messages
 * @throws UserError 'files' at the first thing that is damaged
 */
export function* readSortedTable(path: string, bytes: Buffer): Generator<TableEntry> {
  if (bytes.length < footerBytes) throw damagedFile(path, `${bytes.length} bytes, too short for a sorted table`);
  if (!isSortedTable(bytes)) throw damagedFile(path, 'it does not end as a sorted table does');
  const footer = { bytes: bytes.subarray(bytes.length - footerBytes), position: 0 };
  const blocks = bytes.subarray(0, bytes.length - footerBytes);
  readHandle(path, footer); // the metadata block's, which TensorFlow leaves empty
  const index = blockAt(path, blocks, readHandle(path, footer));
  let previousKey: Buffer | undefined;
  let [previousEnd, allKeyBytes] = [0, 0];
  for (const { value } of blockEntries(path, index)) {
    const handle = readHandle(path, { bytes: value, position: 0 });
    // Without this a small file could have one block read a million times.
    if (handle.offset < previousEnd) throw damagedFile(path, `a block at byte ${handle.offset} overlaps another`);
    previousEnd = handle.offset + handle.size;
    for (const entry of blockEntries(path, blockAt(path, blocks, handle))) {
      if (previousKey !== undefined && previousKey.compare(entry.key) >= 0) {
        throw damagedFile(path, 'the keys do not ascend');
      }
      allKeyBytes += entry.key.length;
      if (allKeyBytes > maxAllKeyBytes) throw damagedFile(path, `the keys take more than ${maxAllKeyBytes} bytes`);
      previousKey = entry.key;
      yield entry;
    }
  }
}

interface Handle {
  readonly offset: number;
  readonly size: number;
}

interface Cursor {
  readonly bytes: Buffer;
  position: number;
}

/** A number of 7 bits a byte, the lowest first, up to 2^53. */
function readVarint(path: string, cursor: Cursor): number {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = cursor.bytes[cursor.position++];
    if (byte === undefined) throw damagedFile(path, 'a number is cut off');
    value += (byte & 127) * scale;
    if (value > Number.MAX_SAFE_INTEGER || scale > 2 ** 49) throw damagedFile(path, 'a number is beyond 2^53');
    if (byte < 128) return value;
  }
}

const readHandle = (path: string, cursor: Cursor): Handle => ({
  offset: readVarint(path, cursor),
  size: readVarint(path, cursor),
});

/** The content of a block, its CRC checked. */
function blockAt(path: string, blocks: Buffer, { offset, size }: Handle): Buffer {
  if (offset + size + trailerBytes > blocks.length) {
    throw damagedFile(path, `a block of ${size} bytes at byte ${offset} goes beyond the end at ${blocks.length}`);
  }
  const content = blocks.subarray(offset, offset + size);
  const type = blocks.subarray(offset + size, offset + size + 1);
  if (maskedCrc32c(content, type) !== blocks.readUInt32LE(offset + size + 1)) {
    throw damagedFile(path, `the checksum of the block at byte ${offset} is wrong`);
  }
  if (type[0] === snappy) {
    throw new UserError(
      'files',
      `${path}: the block at byte ${offset} is compressed with Snappy, which is not supported`,
      'Restore the checkpoint with TensorFlow and save it again: it writes uncompressed blocks.',
    );
  }
  if (type[0] !== uncompressed) throw damagedFile(path, `the block at byte ${offset} has the unknown type ${type[0]}`);
  return content;
}

function* blockEntries(path: string, block: Buffer): Generator<TableEntry> {
  const restarts = block.length < 4 ? Infinity : block.readUInt32LE(block.length - 4);
  const end = block.length - 4 - 4 * restarts;
  if (end < 0) throw damagedFile(path, `a block of ${block.length} bytes has no room for its list of entries`);
  const cursor = { bytes: block.subarray(0, end), position: 0 };
  let key = Buffer.alloc(0);
  while (cursor.position < end) {
    const shared = readVarint(path, cursor);
    const unshared = readVarint(path, cursor);
    const valueLength = readVarint(path, cursor);
    const valueStart = cursor.position + unshared;
    if (shared > key.length || shared + unshared > maxKeyBytes || valueStart + valueLength > end) {
      throw damagedFile(path, 'an entry goes beyond its block');
    }
    key = Buffer.concat([key.subarray(0, shared), block.subarray(cursor.position, valueStart)]);
    cursor.position = valueStart + valueLength;
    yield { key, value: block.subarray(valueStart, cursor.position) };
  }
}

// TensorFlow's table_options.h.
const defaultBlockSize = 262_144;
const [dataRestarts, indexRestarts] = [16, 1];

/**
 * A table of the entries, byte for byte as TensorFlow's TableBuilder makes it.
 *
 * @param entries in ascending order of their keys
 * @param blockSize bytes after which a block ends
 */
export function encodeSortedTable(entries: readonly TableEntry[], blockSize = defaultBlockSize): Buffer {
  const parts: Buffer[] = [];
  let written = 0;
  const write = (block: BlockBuilder): Buffer => {
    const content = finishBlock(block);
    const trailer = Buffer.alloc(trailerBytes);
    trailer.writeUInt32LE(maskedCrc32c(content, trailer.subarray(0, 1)), 1);
    parts.push(content, trailer);
    const handle = Buffer.concat([varint(written), varint(content.length)]);
    written += content.length + trailerBytes;
    return handle;
  };
  const index = newBlock(indexRestarts);
  let data = newBlock(dataRestarts);
  entries.forEach((entry, i) => {
    const next = entries[i + 1];
    addEntry(data, entry);
    if (next !== undefined && sizeOf(data) < blockSize && next.key.length + next.value.length < 2 * blockSize) return;
    const key = next === undefined ? shortSuccessor(entry.key) : shortSeparator(entry.key, next.key);
    addEntry(index, { key, value: write(data) });
    data = newBlock(dataRestarts);
  });
  const handles = Buffer.concat([write(newBlock(dataRestarts)), write(index)]);
  const footer = Buffer.alloc(footerBytes);
  handles.copy(footer);
  footer.writeBigUInt64LE(magic, footerBytes - 8);
  return Buffer.concat([...parts, footer]);
}

interface BlockBuilder {
  /** Entries from one whole key to the next. */
  readonly interval: number;
  readonly parts: Buffer[];
  length: number;
  readonly restarts: number[];
  sinceRestart: number;
  lastKey: Buffer;
}

const newBlock = (interval: number): BlockBuilder => ({
  interval,
  parts: [],
  length: 0,
  restarts: [0],
  sinceRestart: 0,
  lastKey: Buffer.alloc(0),
});

const sizeOf = (block: BlockBuilder): number => block.length + 4 * block.restarts.length + 4;

function addEntry(block: BlockBuilder, { key, value }: TableEntry): void {
  let shared = 0;
  if (block.sinceRestart < block.interval) {
    shared = sharedPrefix(block.lastKey, key);
  } else {
    block.restarts.push(block.length);
    block.sinceRestart = 0;
  }
  const lengths = [varint(shared), varint(key.length - shared), varint(value.length)];
  const parts = [...lengths, key.subarray(shared), value];
  block.parts.push(...parts);
  block.length += parts.reduce((sum, part) => sum + part.length, 0);
  block.sinceRestart++;
  block.lastKey = key;
}

function finishBlock({ parts, restarts }: BlockBuilder): Buffer {
  const list = Buffer.alloc(4 * (restarts.length + 1));
  [...restarts, restarts.length].forEach((offset, i) => list.writeUInt32LE(offset, 4 * i));
  return Buffer.concat([...parts, list]);
}

function sharedPrefix(a: Buffer, b: Buffer): number {
  const most = Math.min(a.length, b.length);
  let shared = 0;
  while (shared < most && a[shared] === b[shared]) shared++;
  return shared;
}

/** The shortest key that is not before `last` and before `next`; as TensorFlow does, only by raising one byte. */
function shortSeparator(last: Buffer, next: Buffer): Buffer {
  const differs = sharedPrefix(last, next);
  const byte = last[differs];
  if (byte === undefined || byte + 1 >= (next[differs] ?? 0)) return last;
  return Buffer.from([...last.subarray(0, differs), byte + 1]);
}

/** A short key that is not before `last`. */
function shortSuccessor(last: Buffer): Buffer {
  const raised = last.findIndex((byte) => byte !== 0xff);
  return raised < 0 ? last : Buffer.from([...last.subarray(0, raised), last[raised]! + 1]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return Buffer.from([...bytes, value]);
}
