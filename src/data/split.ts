import { UserError } from '../errors.js';
import { createRandom, shuffle } from './random.js';

/**
 * Holds a share of the examples out as a dev set, each group (label) in proportion. The same seed gives the same split;
 * both parts keep the order of the file. A group keeps at least one example in train.
 *
 * @param fraction in (0, 1)
 * @throws UserError 'data' when that leaves the dev set empty
 */
export function splitHeldOut<T>(
  examples: readonly T[],
  groupOf: (example: T) => number,
  fraction: number,
  seed: number,
): { train: T[]; dev: T[] } {
  const groups = grouped(examples, groupOf);
  const shares = devShares(
    groups.map(({ length }) => length),
    fraction,
  );
  // Another stream than that of any epoch's order.
  const random = createRandom(seed, 0, 1);
  const heldOut = new Set<number>();
  groups.forEach((group, g) => {
    shuffle(group, random);
    for (const index of group.slice(0, shares[g])) heldOut.add(index);
  });
  if (heldOut.size === 0) {
    throw new UserError(
      'data',
      `dev_fraction: ${fraction} of ${examples.length} examples leaves none for dev`,
      'raise data.dev_fraction, or give a dev file',
    );
  }
  return {
    train: examples.filter((_, i) => !heldOut.has(i)),
    dev: examples.filter((_, i) => heldOut.has(i)),
  };
}

/** Indices of the examples of each group, in the groups' order, so that the split does not hang on row order. */
function grouped<T>(examples: readonly T[], groupOf: (example: T) => number): number[][] {
  const groups = new Map<number, number[]>();
  examples.forEach((example, i) => {
    const group = groups.get(groupOf(example));
    if (group === undefined) groups.set(groupOf(example), [i]);
    else group.push(i);
  });
  return [...groups].sort(([a], [b]) => a - b).map(([, group]) => group);
}

/** Largest remainders: rounding each label by itself would hold nothing out of many small labels. */
function devShares(sizes: readonly number[], fraction: number): number[] {
  const shares = sizes.map((size) => Math.min(Math.floor(size * fraction), size - 1));
  let missing = Math.round(sizes.reduce((sum, size) => sum + size, 0) * fraction);
  for (const share of shares) missing -= share;
  const byRemainder = sizes
    .map((size, g) => ({ g, remainder: size * fraction - shares[g]! }))
    .sort((a, b) => b.remainder - a.remainder || a.g - b.g);
  for (const { g } of byRemainder) {
    if (missing <= 0) break;
    if (shares[g]! >= sizes[g]! - 1) continue;
    shares[g]!++;
    missing--;
  }
  return shares;
}
