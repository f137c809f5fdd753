import { matrixProducts, keepReachable } from './passes.js';
import type { Attrs, GraphNode } from './node.js';
import type { Program } from './program.js';
import type { KnownTensor } from './shape-rules.js';

/**
 * Floating-point operations of matrix products, a multiplication and an addition counted as two. They are counted on the
 * graph itself, so that the count holds for whatever the graph computes: every model, loss and technique, what is computed
 * for the first token alone, what is computed twice.
 */

/** factor times a product of powers of the symbolic dimensions. */
export interface Monomial {
  readonly factor: number;
  readonly exponents: readonly (readonly [symbol: string, exponent: number])[];
}

/** Of one op at the sizes of a trace; undefined where it is not a matrix product. @param output its shape */
export function flopsOfOp(
  op: string,
  attrs: Attrs,
  inputs: readonly Pick<KnownTensor, 'shape'>[],
  output: readonly number[],
): number | undefined {
  const [left] = inputs;
  const attention = attentionProducts[op];
  if (attention !== undefined) {
    const context = attention.isBackward ? inputs.at(-1)!.shape : output;
    return attention.products * 2 * sizeOf(context) * inputs[attention.bias]!.shape.at(-1)!;
  }
  if (!matrixProducts.has(op) || left === undefined) return undefined;
  const transposed = attrs.transpose_a ?? attrs.adj_x;
  const inner = left.shape.at(transposed?.kind === 'bool' && transposed.value ? -2 : -1)!;
  return 2 * inner * sizeOf(output);
}

/** Products of the context's size times a sequence, as wide as the bias. What the backward pass computes again is not counted. */
const attentionProducts: Readonly<Record<string, { products: number; bias: number; isBackward: boolean }>> = {
  T4Attention: { products: 2, bias: 3, isBackward: false },
  T4AttentionGrad: { products: 4, bias: 3, isBackward: true },
  T4JoinedAttention: { products: 2, bias: 1, isBackward: false },
  T4JoinedAttentionGrad: { products: 4, bias: 1, isBackward: true },
};

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

const exponentsTried = [0, 1, 2] as const;

/** The monomial that gives `values[t]` in trace t for every t; undefined where there is none. */
export function solveMonomial(
  values: readonly number[],
  sizes: readonly ReadonlyMap<string, number>[],
): Monomial | undefined {
  const combinations = [...(sizes[0]?.keys() ?? [])].reduce<(readonly (readonly [string, number])[])[]>(
    (found, symbol) =>
      found.flatMap((exponents) => exponentsTried.map((exponent) => [...exponents, [symbol, exponent] as const])),
    [[]],
  );
  for (const exponents of combinations) {
    const of = sizes.map((size) => valueOf({ factor: 1, exponents }, (symbol) => size.get(symbol)!));
    const factor = values[0]! / of[0]!;
    if (values.every((value, t) => value === factor * of[t]!)) return { factor, exponents };
  }
  return undefined;
}

const valueOf = ({ factor, exponents }: Monomial, sizeOf: (symbol: string) => number): number =>
  exponents.reduce((product, [symbol, exponent]) => product * sizeOf(symbol) ** exponent, factor);

/**
 * The matrix products of one run of a program's function, in floating-point operations, by the sizes of the symbolic
 * dimensions of its inputs. Undefined where that hangs on more: products in a loop, or of sizes that are no product of
 * dimensions.
 */
export function productFlops(
  { nodes, signatures }: Pick<Program, 'nodes' | 'signatures'>,
  name: string,
): ((sizes: Readonly<Record<string, number>>) => number) | undefined {
  const outputs = Object.values(signatures[name]!.outputs).map(({ tensor }) => tensor);
  const products = keepReachable(nodes, outputs).filter(isProduct);
  const known = products.flatMap(({ flops }) => flops ?? []);
  if (known.length < products.length) return undefined;
  return (sizes) => known.reduce((sum, monomial) => sum + valueOf(monomial, (symbol) => sizes[symbol] ?? NaN), 0);
}

const isProduct = ({ op }: GraphNode): boolean =>
  matrixProducts.has(op) || op === 'T4MatMul' || op === 'T4MatMulSums' || op in attentionProducts;
