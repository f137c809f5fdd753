/**
 * A dimension whose size is known only when the graph runs, such as the batch. Tracing needs numbers, so
 * a function is traced three times, each time with other sizes ("witnesses"): whatever differs between
 * the traces depends on a dimension, and must be explained by one formula that fits all three.
 */
export interface Dimension {
  readonly symbol: string;
}

export type Size = number | Dimension;

export const traceCount = 3;

// Three, because two points always lie on some line and the third one refutes a chance fit. Small, because tfjs
// fills some tensors of these shapes while tracing. Odd and even ones, so that rounding to a multiple shows. No
// dimension or product of two is an affine function of another: their growth from trace to trace differs.
const witnessTable: readonly (readonly number[])[] = [
  [5, 8, 18],
  [17, 24, 43],
  [7, 21, 40],
];

export const dimension = (symbol: string): Dimension => ({ symbol });

/** The sizes of every dimension in trace `index`, by symbol. */
export function witnesses(dimensions: readonly Dimension[], index: number): Map<string, number> {
  if (dimensions.length > witnessTable.length) {
    throw new RangeError(`${dimensions.length} symbolic dimensions, at most ${witnessTable.length} are supported`);
  }
  return new Map(dimensions.map(({ symbol }, i) => [symbol, witnessTable[i]![index]!]));
}

/** factor * (product of dimensions) + offset. */
export interface Affine {
  readonly factor: number;
  readonly symbols: readonly string[];
  readonly offset: number;
}

interface Monomial {
  readonly symbols: readonly string[];
  readonly values: readonly number[];
}

/** All products of one or two dimensions, with their value in each trace. */
function monomials(symbols: readonly string[], sizes: readonly Map<string, number>[]): Monomial[] {
  const products: (readonly string[])[] = [
    ...symbols.map((a) => [a]),
    ...symbols.flatMap((a, i) => symbols.slice(i).map((b) => [a, b])),
  ];
  return products.map((product) => ({
    symbols: product,
    values: sizes.map((size) => product.reduce((value, symbol) => value * size.get(symbol)!, 1)),
  }));
}

/**
 * The formula that gives `values[t]` in trace t for every t; with these witnesses there is at most one. Undefined where
 * no product of at most two dimensions explains them.
 */
export function solveAffine(values: readonly number[], sizes: readonly Map<string, number>[]): Affine | undefined {
  const symbols = [...(sizes[0]?.keys() ?? [])];
  for (const { symbols: product, values: m } of monomials(symbols, sizes)) {
    const factor = (values[1]! - values[0]!) / (m[1]! - m[0]!);
    const offset = values[0]! - factor * m[0]!;
    const fits = values.every((value, t) => value === factor * m[t]! + offset);
    if (Number.isInteger(factor) && Number.isInteger(offset) && factor !== 0 && fits) {
      return { factor, symbols: product, offset };
    }
  }
  return undefined;
}
