/**
 * A stream of random numbers that depends on the given numbers alone: sfc32, the 32-bit "small fast counting"
 * generator of Chris Doty-Humphrey's PractRand, which passes its tests and needs no 64-bit arithmetic.
 *
 * @param seed, second, third integers of 32 bits (larger ones are cut)
 * @returns a function from n to an integer in [0, n), for n up to 2^32
 */
export function createRandom(seed: number, second = 0, third = 0): (n: number) => number {
  let a = seed | 0;
  let b = second | 0;
  let c = third | 0;
  let counter = 1;
  const next = () => {
    const result = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + result) | 0;
    return result >>> 0;
  };
  // PractRand's seeding: enough rounds for near seeds to have nothing in common.
  for (let i = 0; i < 15; i++) next();
  return (n) => Math.floor((next() / 2 ** 32) * n);
}

/** Shuffles in place (Fisher-Yates). */
export function shuffle(
  items: { [index: number]: number; readonly length: number },
  random: (n: number) => number,
): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random(i + 1);
    const item = items[i]!;
    items[i] = items[j]!;
    items[j] = item;
  }
}
