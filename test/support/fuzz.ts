/**
 * Damaged copies of a file, for tests of readers: the same ones each time, so that a failure can be repeated.
 */

/** Mulberry32: whole numbers in [0, limit), the same for the same seed. */
export function random(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return Math.floor((((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

/** Values that lengths, counts and signs go wrong at. */
const edgeBytes = [0x00, 0x01, 0x7f, 0x80, 0xff];

type Mutation = (bytes: Uint8Array, next: (limit: number) => number) => Uint8Array;

const flipBits: Mutation = (bytes, next) => {
  const result = bytes.slice();
  for (let left = 1 + next(4); left > 0; left--) result[next(bytes.length)]! ^= 1 << next(8);
  return result;
};

const overwrite: Mutation = (bytes, next) => {
  const result = bytes.slice();
  const start = next(bytes.length);
  const value = next(2) === 0 ? edgeBytes[next(edgeBytes.length)]! : next(256);
  return result.fill(value, start, start + 1 + next(8));
};

const truncate: Mutation = (bytes, next) => bytes.slice(0, next(bytes.length));

const duplicate: Mutation = (bytes, next) => {
  const start = next(bytes.length);
  const end = start + 1 + next(Math.min(64, bytes.length - start));
  return Buffer.concat([bytes.subarray(0, end), bytes.subarray(start)]);
};

const cut: Mutation = (bytes, next) => {
  const start = next(bytes.length);
  return Buffer.concat([bytes.subarray(0, start), bytes.subarray(start + 1 + next(16))]);
};

const kinds = [flipBits, overwrite, truncate, duplicate, cut];

/** `count` mutations of the bytes (at least one), of every kind in turn; `seed` chooses where. */
export function* mutations(bytes: Uint8Array, count: number, seed: number): Generator<Uint8Array> {
  const next = random(seed);
  // A Buffer's slice would share its memory, and each mutation would be added to those before.
  const source = Uint8Array.from(bytes);
  for (let i = 0; i < count; i++) yield kinds[i % kinds.length]!(source, next);
}
