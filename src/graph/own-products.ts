import { isCast } from './casts.js';
import { multiplies } from './fused-ops.js';
import { attr, nodeOf, type GraphNode } from './node.js';
import { reroute } from './passes.js';
import { outputKey, readersOf, type Reader } from './readers.js';

/**
 * Computes products of matrices by T4MatMul, together with the bias that is added, and from a right factor that it casts to
 * bfloat16 while it copies it; or by T4MatMulSums, together with the gradient of a bias that is the sum of a right factor's
 * rows. Where the process does not have these ops, or has them for another processor, nothing changes.
 *
 * @param nodes of a function that may hold the ops of fused-ops.ts, after all other passes
 * @param fetched what the function returns
 * @param types of which numbers products are made so
 */
export function useOwnProducts(
  nodes: readonly GraphNode[],
  fetched: readonly string[],
  types: Readonly<Record<'float32' | 'bfloat16', boolean>> = multiplies,
): GraphNode[] {
  const graph = graphOf(nodes, fetched, types);
  const products = nodes.filter((node) => graph.isProduct(node));
  const casts = rightCasts(products, graph);
  const replaced = new Map<string, GraphNode>();
  // Nodes of one output that are gone, and what that is now.
  const renamed = new Map(casts);
  for (const product of products) {
    const sum = biasAddOf(product, graph);
    const own = ownProduct(product, sum, casts, graph);
    const gradient = sum === undefined ? biasGradOf(own, graph) : undefined;
    if (sum !== undefined) renamed.set(product.name, own.name);
    // Another product of the same factor may have it already.
    const isSummed = gradient !== undefined && !renamed.has(gradient.name);
    if (isSummed) renamed.set(gradient.name, `${own.name}:1`);
    replaced.set(own.name, isSummed ? withSums(own) : own);
  }
  return nodes
    .filter(({ name }) => !renamed.has(name))
    .map((node) => replaced.get(node.name) ?? node)
    .map((node) => ({
      ...node,
      inputs: node.inputs.map((input) => reroute(input, renamed.get(nodeOf(input)) ?? input)),
    }));
}

interface Graph {
  readonly byName: ReadonlyMap<string, GraphNode>;
  readonly readers: ReadonlyMap<string, readonly Reader[]>;
  /** Nodes that the function returns. */
  readonly fetched: ReadonlySet<string>;
  isProduct(node: GraphNode): boolean;
}

const graphOf = (
  nodes: readonly GraphNode[],
  fetched: readonly string[],
  { float32, bfloat16 }: Readonly<Record<'float32' | 'bfloat16', boolean>>,
): Graph => ({
  byName: new Map(nodes.map((node) => [node.name, node])),
  readers: readersOf(nodes),
  fetched: new Set(fetched.map(nodeOf)),
  isProduct: ({ op, attrs: { T } }) =>
    op === 'MatMul' && ((float32 && T === attr.type('float32')) || (bfloat16 && T === attr.type('bfloat16'))),
});

const readersAt = ({ readers }: Graph, name: string): readonly Reader[] => readers.get(outputKey(name)) ?? [];

/** Casts of right factors alone, by their names: what they cast. */
function rightCasts(products: readonly GraphNode[], graph: Graph): Map<string, string> {
  const found = new Map<string, string>();
  for (const { inputs } of products) {
    const cast = graph.byName.get(nodeOf(inputs[1]!));
    if (cast === undefined || !isCast(cast, 'float32', 'bfloat16') || graph.fetched.has(cast.name)) continue;
    const isRight = ({ node, place }: Reader): boolean => place === 1 && graph.isProduct(node);
    if (readersAt(graph, cast.name).every(isRight)) found.set(cast.name, cast.inputs[0]!);
  }
  return found;
}

/** The bias that is added to a product, where the product itself is not needed otherwise. */
function biasAddOf(product: GraphNode, graph: Graph): GraphNode | undefined {
  const [reader, ...others] = readersAt(graph, product.name);
  const isAlone = reader?.place === 0 && others.length === 0 && !graph.fetched.has(product.name);
  return isAlone && reader.node.op === 'BiasAdd' ? reader.node : undefined;
}

function ownProduct(
  product: GraphNode,
  sum: GraphNode | undefined,
  casts: ReadonlyMap<string, string>,
  graph: Graph,
): GraphNode {
  const { T, transpose_a, transpose_b } = product.attrs;
  const [left, right] = product.inputs as [string, string];
  const uncast = casts.get(nodeOf(right));
  const bias = sum === undefined ? [] : [biasOf(sum, graph)];
  const waited = [product, sum].flatMap((node) => node?.inputs.filter((input) => input.startsWith('^')) ?? []);
  return {
    ...product,
    name: (sum ?? product).name,
    op: 'T4MatMul',
    inputs: [left, uncast ?? right, ...bias, ...new Set(waited)],
    attrs: {
      T: T!,
      Tb: uncast === undefined ? T! : attr.type('float32'),
      transpose_a: transpose_a!,
      transpose_b: transpose_b!,
      biases: attr.int(bias.length),
    },
  };
}

/** What sums the rows of a product's right factor, where the product reads these as they are. */
function biasGradOf({ inputs, attrs: { T, Tb, transpose_b } }: GraphNode, graph: Graph): GraphNode | undefined {
  if (Tb !== T || transpose_b !== attr.bool(false)) return undefined;
  const reader = readersAt(graph, inputs[1]!).find(({ node }) => node.op === 'T4BiasGrad' && node.inputs.length === 1);
  return reader === undefined || graph.fetched.has(reader.node.name) ? undefined : reader.node;
}

function withSums(own: GraphNode): GraphNode {
  const { T, transpose_a, transpose_b } = own.attrs;
  return { ...own, op: 'T4MatMulSums', attrs: { T: T!, transpose_a: transpose_a!, transpose_b: transpose_b! } };
}

/** A bias is added in float32. */
function biasOf(sum: GraphNode, { byName }: Graph): string {
  const bias = sum.inputs[1]!;
  const cast = byName.get(nodeOf(bias));
  return cast !== undefined && isCast(cast, 'float32', 'bfloat16') ? cast.inputs[0]! : bias;
}
