import { bfloat16ToFloat32, float16ToFloat32 } from './half-floats.js';

/** Numbers of a file as float32. */

/** Bytes of one number in each format that is read. */
export const floatBytes = { float16: 2, bfloat16: 2, float32: 4, float64: 8 } as const;
export type FloatFormat = keyof typeof floatBytes;

/** The number of values in a shape; undefined where it is beyond 2^53. */
export function elementCount(shape: readonly number[]): number | undefined {
  if (shape.includes(0)) return 0;
  let count = 1;
  for (const size of shape) {
    count *= size;
    if (count > Number.MAX_SAFE_INTEGER) return undefined;
  }
  return count;
}

/**
 * Reads `count` little-endian numbers as float32; float64 is rounded to the nearest.
 *
 * @param fill puts the file's bytes into the array it is given; float32 goes straight into the result
 */
export function readFloats(format: FloatFormat, count: number, fill: (bytes: Uint8Array) => void): Float32Array {
  switch (format) {
    case 'float32': {
      const values = new Float32Array(count);
      fill(new Uint8Array(values.buffer));
      return values;
    }
    case 'float64': {
      const values = new Float64Array(count);
      fill(new Uint8Array(values.buffer));
      return new Float32Array(values);
    }
    case 'float16':
    case 'bfloat16': {
      const halves = new Uint16Array(count);
      fill(new Uint8Array(halves.buffer));
      return format === 'float16' ? float16ToFloat32(halves) : bfloat16ToFloat32(halves);
    }
  }
}
