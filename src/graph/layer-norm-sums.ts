import { nodeOf, type GraphNode } from './node.js';
import { awaitedOf, outputKey, readersOf } from './readers.js';

const [add, gradient] = ['Add', 'T4LayerNormGrad'];

/**
 * Gives the gradient of a LayerNorm whose output went two ways, through a layer and past it, the two gradients instead of
 * their sum: the sum is then never in memory. Only sums of the gradient of the next LayerNorm and of a matrix product are
 * taken, which are of one shape.
 *
 * @param nodes of a function that may hold the ops of fused-ops.ts
 */
export function sumInLayerNorms(nodes: readonly GraphNode[]): GraphNode[] {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const readers = readersOf(nodes);
  const awaited = awaitedOf(nodes);
  const summed = new Set<string>();
  const rewritten = nodes.map((node) => {
    const sum = node.op === gradient ? byName.get(nodeOf(node.inputs[0]!)) : undefined;
    if (sum?.op !== add || awaited.has(sum.name) || readers.get(outputKey(sum.name))?.length !== 1) return node;
    const opOf = (input: string): string | undefined => byName.get(nodeOf(input))?.op;
    const isPast = (input: string): boolean => opOf(input) === gradient && outputKey(input).endsWith(':0');
    const [past, through] = isPast(sum.inputs[0]!) ? sum.inputs : sum.inputs.toReversed();
    if (!isPast(past!) || opOf(through!) !== 'MatMul' || sum.inputs.length > 2) return node;
    summed.add(sum.name);
    return { ...node, op: 'T4LayerNormGradOfSum', inputs: [past!, through!, ...node.inputs.slice(1)] };
  });
  return rewritten.filter(({ name }) => !summed.has(name));
}
