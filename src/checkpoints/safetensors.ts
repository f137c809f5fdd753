import { closeSync, fstatSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { z } from 'zod';
import { UserError } from '../errors.js';
import { bfloat16ToFloat32, float16ToFloat32 } from './half-floats.js';
import type { StoredTensor, TensorFile, TensorToStore } from './stored-tensor.js';

/**
 * Hugging Face's safetensors format: 8 bytes with the header's length (little endian), the header (JSON: name ->
 * dtype, shape, byte range), then the tensors. https://github.com/huggingface/safetensors#format
 */

const dtypeBytes = { F32: 4, F16: 2, BF16: 2 } as const;
type FloatType = keyof typeof dtypeBytes;

const isFloatType = (dtype: string): dtype is FloatType => Object.hasOwn(dtypeBytes, dtype);

const entrySchema = z.object({
  dtype: z.string(),
  shape: z.array(z.int().nonnegative()),
  data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
});
type Entry = z.infer<typeof entrySchema>;

/** Opens a file and reads its header; tensors are read one by one. Throws UserError 'files' where it is damaged. */
export function openSafetensors(path: string): TensorFile {
  const file = openSync(path, 'r');
  try {
    const tensors = readHeader(path, file);
    return {
      tensors,
      close: () => {
        closeSync(file);
      },
    };
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

const damaged = (path: string, what: string): UserError =>
  new UserError('files', `${path}: ${what}`, 'The file is damaged or was not downloaded completely: fetch it again.');

// A header beyond this is refused by the reference implementation too.
const maxHeaderBytes = 100_000_000;

function readHeader(path: string, file: number): Map<string, StoredTensor> {
  const fileSize = fstatSync(file).size;
  const lengthBytes = Buffer.alloc(8);
  if (readSync(file, lengthBytes, 0, 8, 0) !== 8) throw damaged(path, `${fileSize} bytes, too short for safetensors`);
  const headerLength = Number(lengthBytes.readBigUInt64LE());
  if (headerLength > maxHeaderBytes || headerLength + 8 > fileSize) {
    throw damaged(path, `a header of ${headerLength} bytes does not fit into ${fileSize}`);
  }
  const dataStart = 8 + headerLength;
  const tensors = new Map<string, StoredTensor>();
  for (const [name, { dtype, shape, data_offsets: offsets }] of parseHeader(path, file, headerLength)) {
    const [begin, end] = offsets;
    if (begin > end || dataStart + end > fileSize) {
      throw damaged(path, `tensor ${name} ends at byte ${dataStart + end}, the file at ${fileSize}`);
    }
    const read = (): Float32Array => readTensor(path, file, name, dtype, shape, dataStart + begin, end - begin);
    tensors.set(name, { name, dtype, shape, read });
  }
  return tensors;
}

function parseHeader(path: string, file: number, length: number): [string, Entry][] {
  const bytes = Buffer.alloc(length);
  readSync(file, bytes, 0, length, 8);
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw damaged(path, 'the header is not JSON');
  }
  if (typeof json !== 'object' || json === null) throw damaged(path, 'the header is not a JSON object');
  const entries = Object.entries(json).filter(([name]) => name !== '__metadata__');
  return entries.map(([name, value]: [string, unknown]) => {
    const entry = entrySchema.safeParse(value);
    if (!entry.success) throw damaged(path, `the header's entry ${name}: ${z.prettifyError(entry.error)}`);
    return [name, entry.data];
  });
}

function readTensor(
  path: string,
  file: number,
  name: string,
  dtype: string,
  shape: readonly number[],
  position: number,
  length: number,
): Float32Array {
  if (!isFloatType(dtype)) {
    throw new UserError('files', `${path}: tensor ${name} is ${dtype}, expected F32, F16 or BF16`);
  }
  const count = shape.reduce((product, size) => product * size, 1);
  if (length !== count * dtypeBytes[dtype]) {
    throw damaged(path, `tensor ${name} [${shape.join(', ')}] of ${dtype} has ${length} bytes`);
  }
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const got = readSync(file, bytes, done, Math.min(length - done, 1 << 30), position + done);
    if (got === 0) throw damaged(path, `the file ends inside tensor ${name}`);
    done += got;
  }
  if (dtype === 'F32') return new Float32Array(bytes.buffer);
  const halves = new Uint16Array(bytes.buffer);
  return dtype === 'BF16' ? bfloat16ToFloat32(halves) : float16ToFloat32(halves);
}

/** Writes a float32 file, beside and renamed into place. `metadata.format` is "pt", as Transformers expects. */
export function writeSafetensors(path: string, tensors: readonly TensorToStore[]): void {
  let offset = 0;
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  for (const { name, shape } of tensors) {
    const length = 4 * shape.reduce((product, size) => product * size, 1);
    header[name] = { dtype: 'F32', shape, data_offsets: [offset, offset + length] };
    offset += length;
  }
  const json = Buffer.from(JSON.stringify(header));
  // Padded with spaces so that the tensors begin at a multiple of 8.
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')]);
  const lengthBytes = Buffer.alloc(8);
  lengthBytes.writeBigUInt64LE(BigInt(padded.length));
  const partial = `${path}.partial`;
  const file = openSync(partial, 'w');
  try {
    writeAll(file, lengthBytes);
    writeAll(file, padded);
    for (const { name, shape, values } of tensors) {
      const data = values();
      if (data.length !== shape.reduce((product, size) => product * size, 1)) {
        throw new RangeError(`${name}: ${data.length} values for the shape [${shape.join(', ')}]`);
      }
      writeAll(file, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
    fsyncSync(file);
  } catch (error) {
    closeSync(file);
    rmSync(partial, { force: true });
    throw error;
  }
  closeSync(file);
  renameSync(partial, path);
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done, Math.min(bytes.length - done, 1 << 30));
}
