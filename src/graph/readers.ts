import { nodeOf, type GraphNode } from './node.js';

/** A node that takes another's output, and which of its inputs that is. */
export interface Reader {
  readonly node: GraphNode;
  readonly place: number;
}

/** An output as it is named in full: `name:output`. */
export const outputKey = (input: string): string => (input.includes(':') ? input : `${input}:0`);

/** Who takes each output, by its full name. */
export function readersOf(nodes: readonly GraphNode[]): Map<string, Reader[]> {
  const readers = new Map<string, Reader[]>();
  for (const node of nodes) {
    node.inputs.forEach((input, place) => {
      if (input.startsWith('^')) return;
      const key = outputKey(input);
      const known = readers.get(key);
      if (known === undefined) readers.set(key, [{ node, place }]);
      else known.push({ node, place });
    });
  }
  return readers;
}

/** The names of the nodes that others wait for without taking an output. */
export const awaitedOf = (nodes: readonly GraphNode[]): Set<string> =>
  new Set(nodes.flatMap(({ inputs }) => inputs.filter((input) => input.startsWith('^')).map(nodeOf)));
