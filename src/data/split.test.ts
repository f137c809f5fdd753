import { expect } from 'chai';
import { UserError } from '../errors.js';
import type { Example } from './example.js';
import { splitHeldOut } from './split.js';

/** So many examples of each label, mixed. */
function examplesOf(...sizes: number[]): Example[] {
  const all = sizes.flatMap((size, label) => Array.from({ length: size }, () => label));
  const mixed = all.map((label, i) => ({ label, key: (i * 7919) % 1009 })).sort((a, b) => a.key - b.key);
  return mixed.map(({ label }, i) => ({ text: `text ${i}`, label, line: i + 1 }));
}

const byLabel = ({ label = -1 }: Example): number => label;

const counts = (examples: readonly Example[], labels: number) =>
  Array.from({ length: labels }, (_, label) => examples.filter((example) => example.label === label).length);

describe('splitHeldOut', () => {
  it('takes the same share of each label, and each example once, in the order of the file', () => {
    const examples = examplesOf(100, 50, 10);
    const { train, dev } = splitHeldOut(examples, byLabel, 0.1, 42);
    expect(counts(dev, 3)).to.deep.equal([10, 5, 1]);
    expect([...train, ...dev].sort((a, b) => a.line - b.line)).to.deep.equal(examples);
    for (const part of [train, dev]) expect(part).to.deep.equal([...part].sort((a, b) => a.line - b.line));
  });

  it('depends on the seed alone', () => {
    const examples = examplesOf(40, 40);
    const lines = (seed: number) => splitHeldOut(examples, byLabel, 0.25, seed).dev.map(({ line }) => line);
    expect(lines(1)).to.deep.equal(lines(1));
    expect(lines(1)).not.to.deep.equal(lines(2));
    expect(lines(1)).to.have.length(20);
  });

  it('keeps an example of each label in train, however large the share', () => {
    const { train, dev } = splitHeldOut(examplesOf(1, 2, 9), byLabel, 0.95, 3);
    expect(counts(train, 3)).to.deep.equal([1, 1, 1]);
    expect(counts(dev, 3)).to.deep.equal([0, 1, 8]);
  });

  it('holds out the whole share where each label alone would give nothing', () => {
    const { dev } = splitHeldOut(examplesOf(...Array.from({ length: 50 }, () => 4)), byLabel, 0.1, 3);
    expect(dev).to.have.length(20);
  });

  it('refuses a share that leaves dev empty', () => {
    expect(() => splitHeldOut(examplesOf(2, 2), byLabel, 0.01, 3)).to.throw(
      UserError,
      'dev_fraction: 0.01 of 4 examples',
    );
  });
});
