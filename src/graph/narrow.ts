import { castAttrs } from './casts.js';
import { attr, nodeOf, type GraphNode } from './node.js';
import { outputKey, readersOf, type Reader } from './readers.js';
import type { Variable } from './recorder.js';

/** Types of 16 bits that variables can be stored in. */
export type NarrowDType = 'float16' | 'bfloat16';

/** What takes a matrix as a whole, so that all of it is widened. Of what is sliced, positions, there are few. */
const wholeReaders = new Set(['MatMul', 'BatchMatMulV2', 'Slice']);

/**
 * Stores the matrices that are only multiplied with, or looked up in by rows, in `dtype`. Nothing else changes: their values
 * are cast to float32 before a product, and rows after they are looked up.
 *
 * @param nodes of a graph that does not save or restore its variables yet, float32 throughout
 * @returns the nodes, and the variables with the types they are stored in
 */
export function narrowVariables(
  nodes: readonly GraphNode[],
  variables: readonly Variable[],
  dtype: NarrowDType,
): { nodes: GraphNode[]; variables: Variable[] } {
  const readers = readersOf(nodes);
  const isNarrow = ({ name, shape, dtype: stored }: Variable): boolean =>
    stored === 'float32' && shape.length === 2 && isReadAsMatrix(name, readers);
  const stored = variables.map((variable) => (isNarrow(variable) ? { ...variable, dtype } : variable));
  const narrow = new Set(stored.filter((variable) => variable.dtype === dtype).map(({ name }) => name));
  const widen = (name: string, input: string): GraphNode => ({
    name,
    op: 'Cast',
    inputs: [input],
    attrs: castAttrs(dtype, 'float32'),
  });
  const type = attr.type(dtype);
  const reads = new Set<string>();
  const result: GraphNode[] = [];
  for (const node of nodes) {
    if (node.op === 'VarHandleOp' && narrow.has(node.name)) {
      result.push({ ...node, attrs: { ...node.attrs, dtype: type } });
    } else if (node.op === 'ReadVariableOp' && narrow.has(nodeOf(node.inputs[0]!))) {
      const name = `${node.name}/stored`;
      reads.add(node.name);
      result.push({ ...node, name, attrs: { ...node.attrs, dtype: type } }, widen(node.name, name));
    } else if (node.op === 'GatherV2' && reads.has(nodeOf(node.inputs[0]!))) {
      const name = `${node.name}/stored`;
      const inputs = [`${nodeOf(node.inputs[0]!)}/stored`, ...node.inputs.slice(1)];
      result.push({ ...node, name, inputs, attrs: { ...node.attrs, Tparams: type } });
      result.push(widen(node.name, name));
    } else {
      result.push(node);
    }
  }
  return { nodes: result, variables: stored };
}

function isReadAsMatrix(variable: string, readers: ReadonlyMap<string, readonly Reader[]>): boolean {
  const uses = (readers.get(outputKey(variable)) ?? []).flatMap(({ node }) =>
    node.op === 'ReadVariableOp' ? (readers.get(outputKey(node.name)) ?? []) : [{ node, place: 0 }],
  );
  return uses.every(({ node, place }) => wholeReaders.has(node.op) || (node.op === 'GatherV2' && place === 0));
}
