/** Files as torch.save writes them, made by hand: for what torch.save would not write. */

/** Bytes of a string whose characters are bytes. */
export const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');

/** A little-endian number. */
export function littleEndian(value: number | bigint, bytes: 2 | 4 | 8): string {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer.toString('latin1', 0, bytes);
}

/** The instructions that push a string, or a natural number below 2^2000. */
export const pushed = (value: string | number | bigint): string =>
  typeof value === 'string' ? `X${littleEndian(value.length, 4)}${value}` : `L${value}L\n`;

const pushedTuple = (values: readonly (number | bigint)[]): string => `(${values.map(pushed).join('')}t`;

export interface TensorInstructions {
  readonly key?: string;
  /** The storage's class. */
  readonly type?: string;
  readonly count?: number | bigint;
  readonly offset?: number | bigint;
  readonly size: readonly (number | bigint)[];
  readonly stride: readonly (number | bigint)[];
  /** Instructions that push what old files say about the part of a storage. */
  readonly view?: string;
}

/** The instructions that push a tensor. */
export function pushedTensor({
  key = '0',
  type = 'FloatStorage',
  count = 6,
  offset = 0,
  ...tensor
}: TensorInstructions) {
  const storage = `(${pushed('storage')}ctorch\n${type}\n${pushed(key)}${pushed('cpu')}${pushed(count)}${tensor.view ?? ''}tQ`;
  const sizes = pushedTuple(tensor.size) + pushedTuple(tensor.stride);
  return `ctorch._utils\n_rebuild_tensor_v2\n(${storage}${pushed(offset)}${sizes}\x89NtR`;
}

/** The pickle of a dict with this tensor as `weight`. */
export const pickledTensor = (tensor: TensorInstructions): string =>
  `\x80\x02}${pushed('weight')}${pushedTensor(tensor)}s.`;

export interface ZipOptions {
  readonly zip64?: boolean;
  /** The compression method that the files are said to have. */
  readonly method?: number;
}

/** A zip file whose files are not compressed; a name may be there twice. */
export function zipOf(files: readonly (readonly [string, string | Uint8Array])[], options: ZipOptions = {}): Buffer {
  const { zip64 = false, method = 0 } = options;
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let position = 0;
  const add = (part: Buffer): void => {
    parts.push(part);
    position += part.length;
  };
  for (const [name, content] of files) {
    const data = typeof content === 'string' ? latin1(content) : Buffer.from(content);
    const start = position;
    // time, date and checksum are not looked at
    const common = littleEndian(method, 2) + '\0'.repeat(8);
    const sizes = littleEndian(data.length, 4).repeat(2);
    add(latin1(`PK\x03\x04\x2d\0\0\0${common}${sizes}${littleEndian(name.length, 2)}\0\0${name}`));
    add(data);
    const far = littleEndian(data.length, 8).repeat(2) + littleEndian(start, 8);
    const extra = zip64 ? `${littleEndian(1, 2)}${littleEndian(far.length, 2)}${far}` : '';
    const lengths = littleEndian(name.length, 2) + littleEndian(extra.length, 2) + '\0'.repeat(10);
    const places = zip64 ? '\xff'.repeat(12) : sizes + littleEndian(start, 4);
    directory.push(
      latin1(`PK\x01\x02\x2d\0\x2d\0\0\0${common}${places.slice(0, 8)}${lengths}${places.slice(8)}${name}${extra}`),
    );
  }
  const [start, count] = [position, files.length];
  directory.forEach(add);
  const size = position - start;
  if (zip64) {
    const record = position;
    const counts = littleEndian(count, 8).repeat(2) + littleEndian(size, 8) + littleEndian(start, 8);
    add(latin1(`PK\x06\x06${littleEndian(44, 8)}\x2d\0\x2d\0${'\0'.repeat(8)}${counts}`));
    add(latin1(`PK\x06\x07\0\0\0\0${littleEndian(record, 8)}\x01\0\0\0`));
  }
  const near = zip64
    ? '\xff'.repeat(12)
    : littleEndian(count, 2).repeat(2) + littleEndian(size, 4) + littleEndian(start, 4);
  add(latin1(`PK\x05\x06\0\0\0\0${near}\0\0`));
  return Buffer.concat(parts);
}

/** A file of the older layout: the pickles of magic number, version and machine, then these, then what follows them. */
export function legacyFile(
  pickle: string,
  keys: readonly string[],
  data: string | Uint8Array,
  endian = '\x88',
): Buffer {
  const preamble =
    '\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.' +
    '\x80\x02M\xe9\x03.' +
    `\x80\x02}${pushed('little_endian')}${endian}s.`;
  const list = `\x80\x02](${keys.map(pushed).join('')}e.`;
  return Buffer.concat([latin1(preamble + pickle + list), typeof data === 'string' ? latin1(data) : data]);
}
