import { attr, nodeOf, type GraphNode } from './node.js';
import { awaitedOf, outputKey, readersOf, type Reader } from './readers.js';

/**
 * The fewest rows of a table whose gradient is kept as rows. A dense gradient is written, and read by the norm and by
 * AdamW, whichever rows a batch names; as rows it is as large as the batch has tokens, which the norm and AdamW each sum.
 * A batch rarely has as many tokens as this, and AdamW's threads share a table of few rows badly: all tokens may name one
 * and the same, as token types do.
 */
const fewestRows = 4096;

/**
 * Does without the dense gradients of tables of embeddings, [V, H], where only their norm and AdamW take them: both are
 * computed of the gradients of the N tokens, [N, H], and their ids, [N]. A row that no id names is decayed and moved by its
 * moments as before.
 *
 *   T4RowsL2Loss(gradients, ids, V) = T4L2Loss(UnsortedSegmentSum(gradients, ids, V)), to rounding
 *   T4AdamWRows(..., gradients, ids, ...) = T4AdamW(..., UnsortedSegmentSum(gradients, ids, V), ...), to the bit
 *
 * @param nodes of a function that may hold the ops of fused-ops.ts
 */
export function useRowGradients(nodes: readonly GraphNode[]): GraphNode[] {
  const sums = rowSums(nodes);
  return nodes.flatMap((node) => {
    if (sums.has(node.name)) return [];
    const place = node.inputs.findIndex((input) => sums.has(nodeOf(input)));
    if (place < 0) return [node];
    const [gradients, ids, rows, ...waits] = sums.get(nodeOf(node.inputs[place]!))!.inputs;
    if (node.op === 'T4L2Loss') {
      const inputs = [gradients!, ids!, rows!, ...node.inputs.slice(1), ...waits];
      return [{ ...node, op: 'T4RowsL2Loss', inputs, attrs: {} }];
    }
    const inputs = [...node.inputs.toSpliced(place, 1, gradients!, ids!), ...waits];
    return [{ ...node, op: 'T4AdamWRows', inputs }];
  });
}

/** The dense gradients that can be done without, by their names. Their inputs: the tokens' gradients, their rows, V. */
function rowSums(nodes: readonly GraphNode[]): Map<string, GraphNode> {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const readers = readersOf(nodes);
  const awaited = awaitedOf(nodes);
  const isLarge = (rows: string): boolean => {
    const value = byName.get(nodeOf(rows))?.attrs.value;
    return value?.kind === 'tensor' && Number(value.values[0]) >= fewestRows;
  };
  const canBeRows = ({ name, op, inputs, attrs }: GraphNode): boolean =>
    op === 'UnsortedSegmentSum' &&
    attrs.T === attr.type('float32') &&
    isLarge(inputs[2]!) &&
    !awaited.has(name) &&
    (readers.get(outputKey(name)) ?? []).every(takesRows);
  return new Map(nodes.filter(canBeRows).map((node) => [node.name, node]));
}

const takesRows = ({ node: { op }, place }: Reader): boolean => op === 'T4L2Loss' || (op === 'T4AdamW' && place === 3);
