import { attr, nodeOf, type AttrValue, type GraphNode } from './node.js';
import { outputKey, readersOf, type Reader } from './readers.js';

/** Inputs and outputs of an op that are of one type, which an attribute names. */
interface Group {
  readonly type: string;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** An input of the same type that may be cast: a bias, or a factor that bfloat16 holds exactly. */
  readonly cast?: number;
}

const through = (type: string): Group[] => [{ type, inputs: [0], outputs: [0] }];

/**
 * What can be computed on bfloat16 values: what only moves them, the bias that oneDNN adds before it rounds a product, and
 * the fused ops, which compute in float32 inside.
 */
const groupsOf: Readonly<Record<string, readonly Group[]>> = {
  Reshape: through('T'),
  Transpose: through('T'),
  EnsureShape: through('T'),
  BiasAdd: [{ type: 'T', inputs: [0], outputs: [0], cast: 1 }],
  Mul: [{ type: 'T', inputs: [0], outputs: [0], cast: 1 }],
  T4Gelu: through('T'),
  T4GeluGrad: [{ type: 'T', inputs: [0, 1], outputs: [0] }],
  T4BiasGrad: [{ type: 'T', inputs: [0], outputs: [] }],
  T4LayerNorm: [{ type: 'T', inputs: [0], outputs: [] }],
  T4AddLayerNorm: [{ type: 'T', inputs: [0], outputs: [] }],
  T4Softmax: through('T'),
  T4SoftmaxGrad: [{ type: 'T', inputs: [0, 1], outputs: [0] }],
  T4Dropout: through('T'),
  T4DropoutGrad: [
    { type: 'T', inputs: [0], outputs: [] },
    { type: 'Tout', inputs: [], outputs: [0] },
  ],
};

const [float32, bfloat16] = [attr.type('float32'), attr.type('bfloat16')];

const isCast = ({ op, attrs }: GraphNode, from: AttrValue, to: AttrValue): boolean =>
  op === 'Cast' && attrs.SrcT === from && attrs.DstT === to;

/**
 * Keeps values in bfloat16 between matrix products where all that is done with them can be done so: no cast to float32 and
 * back, and half the memory. A group of inputs and outputs is narrow where each input comes from a cast from bfloat16 or
 * from a narrow output, and each output goes to casts to bfloat16 and narrow inputs alone. The largest such set is found
 * by beginning with all groups and leaving out, until none is left, those of which that is not true.
 *
 * @param nodes after `useBfloat16Products`
 * @param fetched what the functions return, which stays float32
 */
export function keepBfloat16Values(nodes: readonly GraphNode[], fetched: readonly string[]): GraphNode[] {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const widened = new Map(
    nodes.filter((node) => isCast(node, bfloat16, float32)).map(({ name, inputs }) => [name, inputs[0]!]),
  );
  const narrowed = new Map(
    nodes.filter((node) => isCast(node, float32, bfloat16)).map(({ name, inputs }) => [name, inputs[0]!]),
  );
  const readers = readersOf(nodes);
  const returned = new Set(fetched.map(outputKey));

  const narrow = new Map<string, Group>();
  const keyOf = (node: string, { type }: Group): string => `${node} ${type}`;
  const candidates = nodes.flatMap((node) => {
    const groups = groupsOf[node.op] ?? [];
    const usable = groups.filter((group) => isFloat(node, group.type) && isCastable(node, group, byName));
    return usable.map((group) => ({ node, group }));
  });
  for (const { node, group } of candidates) narrow.set(keyOf(node.name, group), group);

  const isNarrowOutput = (input: string): boolean => {
    const [name, output] = outputKey(input).split(':') as [string, string];
    const groups = groupsOf[byName.get(name)?.op ?? ''] ?? [];
    return groups.some((group) => group.outputs.includes(Number(output)) && narrow.has(keyOf(name, group)));
  };
  const isNarrowInput = ({ node, place }: Reader): boolean => {
    if (narrowed.has(node.name)) return true;
    const groups = groupsOf[node.op] ?? [];
    return groups.some((group) => group.inputs.includes(place) && narrow.has(keyOf(node.name, group)));
  };
  const holds = (node: GraphNode, group: Group): boolean =>
    group.inputs.every((place) => {
      const input = node.inputs[place]!;
      return widened.has(nodeOf(input)) || isNarrowOutput(input);
    }) &&
    group.outputs.every((output) => {
      const key = `${node.name}:${output}`;
      return !returned.has(key) && (readers.get(key) ?? []).every(isNarrowInput);
    });
  for (let changed = true; changed;) {
    changed = false;
    for (const { node, group } of candidates) {
      const key = keyOf(node.name, group);
      if (!narrow.has(key) || holds(node, group)) continue;
      narrow.delete(key);
      changed = true;
    }
  }

  // What is cast to bfloat16 and is bfloat16 now is itself.
  const sameAs = new Map([...narrowed].filter(([, input]) => isNarrowOutput(input)));
  const result: GraphNode[] = [];
  for (const node of nodes) {
    if (sameAs.has(node.name)) continue;
    const groups = (groupsOf[node.op] ?? []).filter((group) => narrow.has(keyOf(node.name, group)));
    const inputs = node.inputs.map((input, place) => {
      const plain = sameAs.get(nodeOf(input));
      if (plain !== undefined) return input.startsWith('^') ? `^${nodeOf(plain)}` : plain;
      if (groups.some((group) => group.inputs.includes(place))) return widened.get(nodeOf(input)) ?? input;
      const cast = groups.some((group) => group.cast === place);
      if (!cast) return input;
      const name = `${node.name}/narrow`;
      result.push({
        name,
        op: 'Cast',
        inputs: [input],
        attrs: { SrcT: float32, DstT: bfloat16, Truncate: attr.bool(false) },
      });
      return name;
    });
    const types = Object.fromEntries(groups.map(({ type }) => [type, bfloat16]));
    result.push({ ...node, inputs, attrs: { ...node.attrs, ...types } });
  }
  return waitForProducts(result, widened);
}

/** What waits for a cast from bfloat16 waits for what is cast: nothing else may need the cast any more. */
function waitForProducts(nodes: readonly GraphNode[], widened: ReadonlyMap<string, string>): GraphNode[] {
  return nodes.map((node) => ({
    ...node,
    inputs: node.inputs.map((input) => {
      const source = input.startsWith('^') ? widened.get(input.slice(1)) : undefined;
      return source === undefined ? input : `^${nodeOf(source)}`;
    }),
  }));
}

/** The fused ops leave their types out, which are float32 then. */
const isFloat = ({ op, attrs }: GraphNode, type: string): boolean =>
  attrs[type] === float32 || (attrs[type] === undefined && op.startsWith('T4'));

/** A bias is rounded as PyTorch's autocast rounds it; a factor must be one that bfloat16 holds. */
function isCastable({ op, inputs }: GraphNode, { cast }: Group, byName: ReadonlyMap<string, GraphNode>): boolean {
  if (cast === undefined || op === 'BiasAdd') return true;
  const value = byName.get(nodeOf(inputs[cast]!))?.attrs.value;
  if (value?.kind !== 'tensor' || value.values.length !== 1) return false;
  const bits = new Uint32Array(Float32Array.of(Number(value.values[0])).buffer)[0]!;
  return bits % 0x10000 === 0;
}
