import { expect } from 'chai';
import { dimension, solveAffine, traceCount, witnesses } from './dimensions.js';

const symbols = ['batch', 'sequence', 'choices'];

const sizesOf = (names: readonly string[]): Map<string, number>[] =>
  Array.from({ length: traceCount }, (_, trace) => witnesses(names.map(dimension), trace));

const sizes = sizesOf(symbols);
const valuesOf = (formula: (batch: number, sequence: number) => number): number[] =>
  sizes.map((size) => formula(size.get('batch')!, size.get('sequence')!));

describe('solveAffine', () => {
  it('finds every formula of one or two dimensions, whatever its factor and offset', () => {
    const products = symbols.flatMap((a, i) => [[a], ...symbols.slice(i).map((b) => [a, b])]);
    for (const product of products) {
      const value = (size: Map<string, number>): number => product.reduce((p, symbol) => p * size.get(symbol)!, 1);
      for (let factor = -13; factor <= 13; factor++) {
        if (factor === 0) continue;
        for (let offset = -60; offset <= 60; offset++) {
          const values = sizes.map((size) => factor * value(size) + offset);
          expect(solveAffine(values, sizes)).to.deep.equal({ factor, symbols: product, offset });
        }
      }
    }
  });

  const unexplained: [string, (batch: number, sequence: number) => number][] = [
    ['half a dimension', (batch) => batch / 2],
    ['half a dimension, rounded down', (batch) => Math.floor(batch / 2)],
    ['a dimension rounded up to a multiple of 2', (batch) => 2 * Math.ceil(batch / 2)],
    ['a dimension rounded up to a multiple of 8', (_, sequence) => 8 * Math.ceil(sequence / 8)],
    ['a remainder', (batch) => batch % 2],
    ['a dimension cut at 20', (_, sequence) => Math.min(sequence, 20)],
    ['a square root', (batch) => Math.sqrt(batch)],
    ['a cube', (batch) => batch ** 3],
    ['a sum of two dimensions', (batch, sequence) => batch + sequence],
    ['a dimension less a half', (batch) => batch - 0.5],
  ];
  for (const [title, formula] of unexplained) {
    it(`does not explain ${title}`, () => {
      expect(solveAffine(valuesOf(formula), sizes)).to.equal(undefined);
    });
  }
});

describe('witnesses', () => {
  it('differ between dimensions and between traces', () => {
    const all = sizes.flatMap((size) => [...size.values()]);
    expect(new Set(all).size).to.equal(symbols.length * traceCount);
  });

  it('of a fourth dimension are refused', () => {
    expect(() => sizesOf(['a', 'b', 'c', 'd'])).to.throw(RangeError, '4 symbolic dimensions, at most 3 are supported');
  });
});
