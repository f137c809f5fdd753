import { attr, type GraphNode } from './node.js';
import type { Signature } from './signature.js';
import type { Variable } from './recorder.js';

/**
 * Nodes that write and read a group of variables as a TensorFlow checkpoint (SaveV2, RestoreV2), and their
 * signatures `save/<group>` and `restore/<group>`: input `path` (string scalar, the checkpoint's prefix), output
 * `path`. Tensors bear their variables' names in the file.
 */
export function saverNodes(
  group: string,
  variables: readonly Variable[],
): { nodes: GraphNode[]; signatures: Record<string, Signature> } {
  const nodes: GraphNode[] = [];
  const add = (op: string, name: string, inputs: readonly string[], attrs: GraphNode['attrs']): string => {
    nodes.push({ name, op, inputs, attrs });
    return name;
  };
  const strings = (name: string, values: readonly string[]): string =>
    add('Const', name, [], { dtype: attr.type('string'), value: attr.tensor('string', [values.length], values) });
  const scope = `checkpoint/${group}`;
  const dtypes = attr.types(variables.map((variable) => variable.dtype));
  const names = strings(
    `${scope}/names`,
    variables.map((variable) => variable.name),
  );
  const slices = strings(
    `${scope}/slices`,
    variables.map(() => ''),
  );
  const path = add('Placeholder', `${scope}/path`, [], { dtype: attr.type('string'), shape: attr.shape([]) });
  const reads = variables.map((variable, i) =>
    add('ReadVariableOp', `${scope}/read_${i}`, [variable.name], { dtype: attr.type(variable.dtype) }),
  );
  const save = add('SaveV2', `${scope}/SaveV2`, [path, names, slices, ...reads], { dtypes });
  const restore = add('RestoreV2', `${scope}/RestoreV2`, [path, names, slices], { dtypes });
  const assigns = variables.map(({ name, dtype, shape }, i) => {
    // Named after the variable, because TensorFlow's message for a file with another shape has this name.
    const checked = add('EnsureShape', `${scope}/${name}`, [i === 0 ? restore : `${restore}:${i}`], {
      T: attr.type(dtype),
      shape: attr.shape(shape),
    });
    const attrs = { dtype: attr.type(dtype), validate_shape: attr.bool(false) };
    return add('AssignVariableOp', `${scope}/assign_${i}`, [name, checked], attrs);
  });
  const T = attr.type('string');
  const saved = add('Identity', `${scope}/saved`, [path, `^${save}`], { T });
  const restored = add('Identity', `${scope}/restored`, [path, ...assigns.map((name) => `^${name}`)], { T });
  const port = (tensor: string) => ({ tensor: `${tensor}:0`, dtype: 'string' as const, shape: [] });
  return {
    nodes,
    signatures: {
      [`save/${group}`]: { inputs: { path: port(path) }, outputs: { path: port(saved) } },
      [`restore/${group}`]: { inputs: { path: port(path) }, outputs: { path: port(restored) } },
    },
  };
}
