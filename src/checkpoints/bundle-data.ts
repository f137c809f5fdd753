import { closeSync } from 'node:fs';
import { UserError } from '../errors.js';
import { indexPath, shardPath, type Bundle, type Entry } from './bundle-index.js';
import type { BundleEntry } from './bundle-proto.js';
import { damagedFile, openForReading, printable, readFully } from './file-bytes.js';
import { readFloats, type FloatFormat } from './float-data.js';
import { maskedCrc32c } from './masked-crc.js';
import { sliceKey } from './slice-key.js';

/** The values in the data files of a tensor bundle. */

/** Reads a tensor as float32. Throws UserError 'files' where its type is no float or its bytes are damaged. */
export function readTensor(bundle: Bundle, entry: Entry): Float32Array {
  const { format } = entry.type;
  if (format === undefined) {
    throw new UserError(
      'files',
      `${indexPath(bundle.prefix)}: tensor ${printable(entry.name)} is ${entry.type.name}, ` +
        'expected DT_FLOAT, DT_HALF, DT_BFLOAT16 or DT_DOUBLE',
    );
  }
  return entry.proto.slices.length > 0 ? readSliced(bundle, entry, format) : readWhole(bundle, entry, format);
}

function readWhole({ prefix, shards }: Bundle, { name, count, proto }: Entry, format: FloatFormat): Float32Array {
  const path = shardPath(prefix, proto.shardId, shards);
  const file = openForReading(path);
  try {
    return readFloats(format, count, (bytes) => {
      readFully(path, file, bytes, proto.offset);
      if (maskedCrc32c(bytes) !== proto.crc32c) {
        throw damagedFile(
          path,
          `the checksum of ${printable(name)} (bytes ${proto.offset} to ${proto.offset + proto.size}) is wrong`,
        );
      }
    });
  } finally {
    closeSync(file);
  }
}

interface Slice {
  readonly entry: Entry;
  /** Along the axis that is cut. */
  readonly start: number;
  readonly length: number;
}

/** Puts a partitioned variable together. TensorFlow's partitioners cut along one axis, which is what is read. */
function readSliced(bundle: Bundle, entry: Entry, format: FloatFormat): Float32Array {
  const { shape, count } = entry;
  const axis = cutAxis(bundle, entry);
  const slices = entry.proto.slices.map(({ extent }): Slice => {
    const { start, length = shape[axis]! } = extent[axis]!;
    return { start, length, entry: sliceEntry(bundle, entry, extent, shape.with(axis, length)) };
  });
  slices.sort((a, b) => a.start - b.start);
  let covered = 0;
  for (const { start, length } of slices) {
    if (start !== covered) throw sliceDamage(bundle, entry, `from ${covered} to ${start} overlap or leave a gap`);
    covered += length;
  }
  if (covered !== shape[axis]) throw sliceDamage(bundle, entry, `end at ${covered} of ${shape[axis]}`);
  const values = new Float32Array(count);
  if (count === 0) return values;
  const inner = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  const step = shape[axis] * inner;
  for (const slice of slices) {
    const part = readWhole(bundle, slice.entry, format); // [outer, slice.length, inner]
    const run = slice.length * inner;
    for (let from = 0, to = slice.start * inner; from < part.length; from += run, to += step) {
      values.set(part.subarray(from, from + run), to);
    }
  }
  return values;
}

const sliceDamage = ({ prefix }: Bundle, { name }: Entry, what: string): UserError =>
  damagedFile(indexPath(prefix), `the slices of ${printable(name)} ${what}`);

function cutAxis(bundle: Bundle, entry: Entry): number {
  const { shape, proto, name } = entry;
  const axes = new Set<number>();
  for (const { extent } of proto.slices) {
    if (extent.length !== shape.length) throw sliceDamage(bundle, entry, `do not have its ${shape.length} dimensions`);
    extent.forEach(({ start, length }, i) => {
      if (start !== 0 || (length !== undefined && length !== shape[i])) axes.add(i);
    });
  }
  const [axis, other] = [...axes];
  if (axis === undefined) throw sliceDamage(bundle, entry, 'are not parts of it');
  if (other !== undefined) {
    throw new UserError(
      'files',
      `${indexPath(bundle.prefix)}: ${printable(name)} is partitioned along ${axes.size} axes, expected one`,
      'Restore the checkpoint with TensorFlow and save it without partitions.',
    );
  }
  return axis;
}

function sliceEntry(
  bundle: Bundle,
  whole: Entry,
  extent: BundleEntry['slices'][number]['extent'],
  shape: number[],
): Entry {
  const found = bundle.entries.get(sliceKey(whole.key, extent).toString('latin1'));
  if (found === undefined) throw sliceDamage(bundle, whole, 'are not all in the index');
  if (found.proto.slices.length > 0 || found.type.name !== whole.type.name || found.shape.join() !== shape.join()) {
    throw sliceDamage(
      bundle,
      whole,
      `have another shape or type: got [${found.shape.join(', ')}] of ${found.type.name}`,
    );
  }
  return found;
}
