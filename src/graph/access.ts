import { attr, type GraphNode } from './node.js';
import type { Signature } from './signature.js';
import type { Variable } from './recorder.js';

/**
 * Functions that move one variable at a time between the graph and the process: `assign/<name>` (input `value`,
 * output `done`) and `fetch/<name>` (output `value`). Written down directly: tracing hundreds of them would be slow.
 */
export function accessNodes(variables: readonly Variable[]): {
  nodes: GraphNode[];
  signatures: Record<string, Signature>;
} {
  const nodes: GraphNode[] = [];
  const signatures: Record<string, Signature> = {};
  const one: GraphNode = {
    name: 'access/one',
    op: 'Const',
    inputs: [],
    attrs: { dtype: attr.type('int32'), value: attr.tensor('int32', [], Int32Array.of(1)) },
  };
  nodes.push(one);
  for (const { name, dtype, shape } of variables) {
    const [value, assign, done, fetch] = ['value', 'assign', 'done', 'fetch'].map(
      (part) => `access/${name}/${part}`,
    ) as [string, string, string, string];
    const type = attr.type(dtype);
    nodes.push(
      { name: value, op: 'Placeholder', inputs: [], attrs: { dtype: type, shape: attr.shape(shape) } },
      {
        name: assign,
        op: 'AssignVariableOp',
        inputs: [name, value],
        attrs: { dtype: type, validate_shape: attr.bool(false) },
      },
      { name: done, op: 'Identity', inputs: [one.name, `^${assign}`], attrs: { T: attr.type('int32') } },
      { name: fetch, op: 'ReadVariableOp', inputs: [name], attrs: { dtype: type } },
    );
    signatures[`assign/${name}`] = {
      inputs: { value: { tensor: `${value}:0`, dtype, shape } },
      outputs: { done: { tensor: `${done}:0`, dtype: 'int32', shape: [] } },
    };
    signatures[`fetch/${name}`] = { inputs: {}, outputs: { value: { tensor: `${fetch}:0`, dtype, shape } } };
  }
  return { nodes, signatures };
}
