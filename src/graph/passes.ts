import { castAttrs, isCast } from './casts.js';
import { attr, attrsKey, nodeOf, type AttrValue, type GraphNode } from './node.js';

/**
 * Ops that must not be shared even where their inputs are equal. NextIteration closes a loop: the Merge that has it as an
 * input comes before it.
 */
const unshared = /^(Assign|Resource|Save|Restore|Placeholder$|VarHandle|ReadVariable|NoOp$|NextIteration$)/;

const isLarge = (value: AttrValue): boolean => value.kind === 'tensor' && value.values.length > 64;

/** Replaces nodes that compute the same from the same inputs by the first of them. Nodes must be in topological order, but for what ends an iteration. */
export function shareEqualNodes(nodes: readonly GraphNode[]): { nodes: GraphNode[]; renamed: Map<string, string> } {
  const kept: GraphNode[] = [];
  const renamed = new Map<string, string>();
  const byKey = new Map<string, string>();
  for (const node of nodes) {
    const inputs = node.inputs.map((input) => rename(input, renamed));
    const shareable = !unshared.test(node.op) && !Object.values(node.attrs).some(isLarge);
    const key = shareable ? `${node.op}(${inputs.join()})${attrsKey(node.attrs)}` : node.name;
    const first = byKey.get(key);
    if (first !== undefined) {
      renamed.set(node.name, first);
    } else {
      byKey.set(key, node.name);
      kept.push({ ...node, inputs });
    }
  }
  return { nodes: kept, renamed };
}

/** The input reference with its node's new name, output and control mark kept. */
export function rename(reference: string, renamed: ReadonlyMap<string, string>): string {
  const name = nodeOf(reference);
  const target = renamed.get(name);
  return target === undefined ? reference : reference.replace(name, () => target);
}

/** The input reference where its output has become `output`: what waits for the node waits for that one's. */
export const reroute = (reference: string, output: string): string =>
  reference.startsWith('^') ? `^${nodeOf(output)}` : output;

/** Only the nodes that `roots` need, directly or not. */
export function keepReachable(nodes: readonly GraphNode[], roots: readonly string[]): GraphNode[] {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const needed = new Set<string>();
  const pending = roots.map(nodeOf);
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const node = byName.get(name);
    if (node === undefined) throw new Error(`the graph has no node ${name}`);
    if (needed.has(name)) continue;
    needed.add(name);
    pending.push(...node.inputs.map(nodeOf));
  }
  return nodes.filter((node) => needed.has(node.name));
}

export const matrixProducts = new Set(['MatMul', 'BatchMatMulV2']);

/**
 * Computes every matrix product in bfloat16: its inputs are cast (once each, however often they are used), its
 * result is cast back, all else stays float32. What was cast from bfloat16 is taken as it was before. Sums inside a
 * product are kept in float32 by oneDNN and cuBLAS.
 */
export function useBfloat16Products(nodes: readonly GraphNode[]): GraphNode[] {
  const result: GraphNode[] = [];
  const casts = new Map<string, string>();
  const widened = new Map(
    nodes.filter((node) => isCast(node, 'bfloat16', 'float32')).map(({ name, inputs }) => [name, inputs[0]!]),
  );
  const castInput = (input: string): string => {
    const known = casts.get(input);
    if (known !== undefined || input.startsWith('^')) return known ?? input;
    const stored = widened.get(nodeOf(input));
    if (stored !== undefined) return stored;
    const name = `${input.replace(':', '_')}/bfloat16`;
    result.push({ name, op: 'Cast', inputs: [input], attrs: castAttrs('float32', 'bfloat16') });
    casts.set(input, name);
    return name;
  };
  for (const node of nodes) {
    const T = node.attrs.T;
    if (!matrixProducts.has(node.op) || T?.kind !== 'type' || T.value !== 'float32') {
      result.push(node);
      continue;
    }
    const product = `${node.name}/product`;
    const inputs = node.inputs.map(castInput);
    result.push({ ...node, name: product, inputs, attrs: { ...node.attrs, T: attr.type('bfloat16') } });
    result.push({ name: node.name, op: 'Cast', inputs: [product], attrs: castAttrs('bfloat16', 'float32') });
  }
  return result;
}
