/**
 * The key of a partitioned tensor's slice in a tensor bundle: TensorFlow's EncodeTensorNameSlice
 * (tensorflow/core/util/saved_tensor_slice_util.cc) in its OrderedCode (tensorflow/core/lib/strings/ordered_code.cc).
 */

/** One dimension of a slice; `length` undefined: the whole dimension. */
export interface Extent {
  readonly start: number;
  readonly length?: number | undefined;
}

/** Every slice's key begins with the number 0, and no tensor's name does. */
export const isSliceKey = (key: Buffer): boolean => key[0] === 0;

export function sliceKey(name: Buffer, extents: readonly Extent[]): Buffer {
  const dimensions = extents.flatMap(({ start, length }) => [signed(start), signed(length ?? -1)]);
  return Buffer.concat([unsigned(0), string(name), unsigned(extents.length), ...dimensions]);
}

/** The bytes, 0 and 255 escaped, up to a separator. */
function string(bytes: Buffer): Buffer {
  const escaped = [...bytes].flatMap((byte) => (byte === 0 ? [0, 0xff] : byte === 0xff ? [0xff, 0] : [byte]));
  return Buffer.from([...escaped, 0, 1]);
}

/** Big-endian without leading zeros, after the number of bytes. */
function unsigned(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Buffer.from([bytes.length, ...bytes]);
}

/** -1, or 0 to 2^53: big-endian, its length in leading ones that come before a zero. */
function signed(value: number): Buffer {
  if (value === -1) return Buffer.of(0x7f);
  let length = 1;
  while (value >= 2 ** (7 * length - 1)) length++;
  const bytes = Buffer.alloc(length);
  let rest = value;
  for (let i = length - 1; i >= 0; rest = Math.floor(rest / 256)) bytes[i--] = rest % 256;
  bytes[0]! |= (0xff << (8 - length)) & 0xff;
  return bytes;
}
