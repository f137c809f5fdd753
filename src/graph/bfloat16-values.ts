import { castAttrs, isCast } from './casts.js';
import type { DType } from './dtypes.js';
import { attr, nodeOf, type GraphNode } from './node.js';
import { reroute } from './passes.js';
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
  T4LayerNormGradOfSum: [{ type: 'T', inputs: [1], outputs: [] }],
  T4L2Loss: [{ type: 'T', inputs: [0], outputs: [] }],
  T4AdamW: [{ type: 'T', inputs: [3], outputs: [] }],
  T4LayerNorm: [{ type: 'T', inputs: [0], outputs: [] }],
  T4AddLayerNorm: [{ type: 'T', inputs: [0], outputs: [] }],
  T4Attention: [{ type: 'T', inputs: [0, 1, 2], outputs: [0] }],
  T4AttentionGrad: [{ type: 'T', inputs: [0, 1, 2, 6], outputs: [0, 1, 2] }],
  T4JoinedAttention: [{ type: 'T', inputs: [0], outputs: [0] }],
  T4JoinedAttentionGrad: [{ type: 'T', inputs: [0, 4], outputs: [0] }],
  T4JoinColumns: [{ type: 'T', inputs: [], outputs: [0] }],
  T4SplitColumns: [{ type: 'T', inputs: [0], outputs: [] }],
  T4Dropout: through('T'),
  T4DropoutGrad: [
    { type: 'T', inputs: [0], outputs: [] },
    { type: 'Tout', inputs: [], outputs: [0] },
  ],
};

const [float32, bfloat16] = [attr.type('float32'), attr.type('bfloat16')];

/** Casts by their names: what they cast. */
interface Casts {
  readonly fromBfloat16: ReadonlyMap<string, string>;
  readonly toBfloat16: ReadonlyMap<string, string>;
}

function castsOf(nodes: readonly GraphNode[]): Casts {
  const between = (from: DType, to: DType): Map<string, string> =>
    new Map(nodes.filter((node) => isCast(node, from, to)).map(({ name, inputs }) => [name, inputs[0]!]));
  return { fromBfloat16: between('bfloat16', 'float32'), toBfloat16: between('float32', 'bfloat16') };
}

/**
 * Keeps values in bfloat16 between matrix products where all that is done with them can be done so: no cast to float32 and
 * back, and half the memory.
 *
 * @param nodes after `useBfloat16Products`
 * @param fetched what the functions return, which stays float32
 */
export function keepBfloat16Values(nodes: readonly GraphNode[], fetched: readonly string[]): GraphNode[] {
  const casts = castsOf(nodes);
  const narrow = narrowGroups(nodes, casts, fetched);
  // What is cast to bfloat16 and is bfloat16 now is itself.
  const same = new Map([...casts.toBfloat16].filter(([, input]) => narrow.hasOutput(input)));
  const result: GraphNode[] = [];
  for (const node of nodes) {
    if (same.has(node.name)) continue;
    const groups = narrow.of(node);
    const inputs = node.inputs.map((input, place) => {
      const plain = same.get(nodeOf(input));
      if (plain !== undefined) return reroute(input, plain);
      if (groups.some((group) => group.inputs.includes(place))) return casts.fromBfloat16.get(nodeOf(input)) ?? input;
      if (!groups.some((group) => group.cast === place)) return input;
      const name = `${node.name}/narrow`;
      result.push({ name, op: 'Cast', inputs: [input], attrs: castAttrs('float32', 'bfloat16') });
      return name;
    });
    const types = Object.fromEntries(groups.map(({ type }) => [type, bfloat16]));
    result.push({ ...node, inputs, attrs: { ...node.attrs, ...types } });
  }
  return waitForProducts(result, casts.fromBfloat16);
}

interface NarrowGroups {
  of(node: GraphNode): Group[];
  /** Whether an output, named as an input is, belongs to a narrow group. */
  hasOutput(input: string): boolean;
}

/**
 * A group of inputs and outputs is narrow where each input comes from a cast from bfloat16 or from a narrow output, and each
 * output goes to casts to bfloat16 and narrow inputs alone. The largest such set is found by beginning with all groups and
 * leaving out, until there are none, those of which that is not true.
 */
function narrowGroups(nodes: readonly GraphNode[], casts: Casts, fetched: readonly string[]): NarrowGroups {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const readers = readersOf(nodes);
  const returned = new Set(fetched.map(outputKey));
  const candidates = new Map(
    nodes.map((node) => {
      const usable = (group: Group): boolean => isFloat(node, group.type) && isCastable(node, group, byName);
      return [node.name, (groupsOf[node.op] ?? []).filter(usable)];
    }),
  );
  const groupsAt = (name: string): Group[] => candidates.get(name) ?? [];
  const hasOutput = (input: string): boolean => {
    const [name, output] = outputKey(input).split(':') as [string, string];
    return groupsAt(name).some(({ outputs }) => outputs.includes(Number(output)));
  };
  const takesBfloat16 = ({ node, place }: Reader): boolean =>
    casts.toBfloat16.has(node.name) || groupsAt(node.name).some(({ inputs }) => inputs.includes(place));
  const isNarrow = ({ name, inputs }: GraphNode, group: Group): boolean =>
    group.inputs.every((place) => casts.fromBfloat16.has(nodeOf(inputs[place]!)) || hasOutput(inputs[place]!)) &&
    group.outputs.every((output) => {
      const key = `${name}:${output}`;
      return !returned.has(key) && (readers.get(key) ?? []).every(takesBfloat16);
    });
  for (let changed = true; changed;) {
    changed = false;
    for (const [name, groups] of candidates) {
      const left = groups.filter((group) => isNarrow(byName.get(name)!, group));
      if (left.length === groups.length) continue;
      candidates.set(name, left);
      changed = true;
    }
  }
  return { of: ({ name }) => groupsAt(name), hasOutput };
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
