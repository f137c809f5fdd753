import { accessNodes } from './access.js';
import { type Dimension, type Size, traceCount, witnesses } from './dimensions.js';
import type { DType } from './dtypes.js';
import { LeakedDimension, lowerTraces, type DimensionSources, type Trace } from './lowering.js';
import { keepBfloat16Values } from './bfloat16-values.js';
import { attr, type Attrs, type GraphNode } from './node.js';
import { dropUnusedOutputs } from './fused-ops.js';
import { useOwnProducts } from './own-products.js';
import { keepReachable, rename, shareEqualNodes, useBfloat16Products } from './passes.js';
import { handleNode, Recorder, type Reference, type Variable } from './recorder.js';
import { sumInLayerNorms } from './layer-norm-sums.js';
import { useRowGradients } from './row-gradients.js';
import { saverNodes } from './saver.js';
import type { Port, Signature } from './signature.js';
import type { Tensor } from './tensorflow.js';
import { currentPlace, TraceError } from './trace-error.js';
import { tracingBackend, withTracing } from './tracing-backend.js';

export interface TensorSpec {
  readonly dtype: DType;
  readonly shape: readonly Size[];
}

/** What a traced function may do with the program's variables. */
export interface VariableScope {
  /** The variable's value, after all effects asked for so far. */
  read(name: string): Tensor;
  /** Sets the variable to a tensor of its shape and dtype. */
  assign(name: string, value: Tensor): void;
  /**
   * Sets variables to what `compute` makes of their values, given and returned in the order of the names. The values are
   * taken from the variables first, so that ops which can write into the memory of an input do.
   */
  replace(names: readonly string[], compute: (values: Tensor[]) => readonly Tensor[]): void;
  /** Runs a Resource... op: its first inputs are the variables' handles, in this order. */
  update(op: string, attrs: Attrs, names: readonly string[], inputs: readonly Tensor[]): void;
  /**
   * What `body` asks for waits for the latest effect asked for before. Updates of many variables taken in turn need
   * temporary memory for one of them at a time, not for all.
   */
  inTurn<T>(body: () => T): T;
  /** Changes variables as `body` says where `condition`, a bool scalar, is true. What `body` computes stays in it. */
  onlyIf(condition: Tensor, body: () => void): void;
}

export type NamedTensors = Readonly<Record<string, Tensor>>;

/** A function of named tensors, written in plain tfjs; it becomes one signature of the program. */
export interface FunctionSpec {
  readonly inputs: Readonly<Record<string, TensorSpec>>;
  build(inputs: NamedTensors, variables: VariableScope): NamedTensors;
}

export type Precision = 'fp32' | 'bf16';

/** A complete graph: functions that share variables, ready to be written as a SavedModel. */
export interface Program {
  readonly nodes: readonly GraphNode[];
  readonly signatures: Readonly<Record<string, Signature>>;
  readonly variables: readonly Variable[];
}

export interface ProgramSpec {
  readonly variables: readonly Variable[];
  readonly functions: Readonly<Record<string, FunctionSpec>>;
  /** Groups of variables that are saved and restored together: a signature `save/<group>` and `restore/<group>` each. */
  readonly checkpoints?: Readonly<Record<string, readonly string[]>>;
  /** Variables that get `assign/<name>` and `fetch/<name>` functions. */
  readonly accessible?: readonly string[];
  readonly precision?: Precision;
  /** Whether functions may use the ops of fused-ops.ts, which run in this process alone; absent: no. */
  readonly fused?: boolean;
}

/**
 * Stages every function into one graph.
 *
 * @throws TraceError naming the op and the place in the function's code: an op without a shape rule, a tensor of
 *   another backend, a value read while tracing, a symbolic dimension that leaks into a constant
 */
export function buildProgram(spec: ProgramSpec): Program {
  const byName = new Map<string, GraphNode>();
  const signatures: Record<string, Signature> = {};
  const merge = (nodes: readonly GraphNode[]): void => {
    for (const node of nodes) {
      const former = byName.get(node.name);
      if (former !== undefined && (former.op !== 'VarHandleOp' || node.op !== 'VarHandleOp')) {
        throw new TraceError(`two nodes are named ${node.name}: rename a function or variable`, node.op, undefined);
      }
      byName.set(node.name, node);
    }
  };
  for (const [name, definition] of Object.entries(spec.functions)) {
    const compiled = compileFunction(name, definition, spec);
    merge(rewritten(compiled, spec));
    signatures[name] = compiled.signature;
  }
  const variables = new Map(spec.variables.map((variable) => [variable.name, variable]));
  for (const [group, names] of Object.entries(spec.checkpoints ?? {})) {
    const saver = saverNodes(
      group,
      names.map((name) => findVariable(variables, name)),
    );
    merge(saver.nodes);
    Object.assign(signatures, saver.signatures);
  }
  const access = accessNodes((spec.accessible ?? []).map((name) => findVariable(variables, name)));
  merge(access.nodes);
  Object.assign(signatures, access.signatures);
  for (const variable of spec.variables) merge([handleNode(variable)]);
  const ports = Object.values(signatures).flatMap(({ inputs, outputs }) => Object.values({ ...inputs, ...outputs }));
  const roots = ports.map((port) => port.tensor);
  const nodes = keepReachable([...byName.values()], roots);
  return { nodes: spec.fused === true ? dropUnusedOutputs(nodes) : nodes, signatures, variables: spec.variables };
}

/** A function's nodes after the passes that the program allows. */
function rewritten(
  { nodes, signature }: { readonly nodes: readonly GraphNode[]; readonly signature: Signature },
  { precision, fused = false }: ProgramSpec,
): readonly GraphNode[] {
  const exact = fused ? sumInLayerNorms(useRowGradients(nodes)) : nodes;
  const narrow = precision === 'bf16' ? useBfloat16Products(exact) : exact;
  if (!fused) return narrow;
  const [taken, returned] = [signature.inputs, signature.outputs].map((ports) =>
    Object.values(ports).map(({ tensor }) => tensor),
  );
  const mixed = precision === 'bf16' ? keepBfloat16Values(narrow, returned!) : narrow;
  // Casts that nobody needs any more count as readers.
  return useOwnProducts(keepReachable(mixed, [...taken!, ...returned!]), returned!);
}

function findVariable(variables: ReadonlyMap<string, Variable>, name: string): Variable {
  const variable = variables.get(name);
  if (variable === undefined) throw new TraceError(`the program has no variable ${name}`, undefined, currentPlace());
  return variable;
}

interface RecordedFunction extends Trace {
  readonly outputs: Readonly<Record<string, Reference>>;
  readonly outputShapes: Readonly<Record<string, { shape: readonly number[]; dtype: DType }>>;
  readonly effects: readonly number[];
  readonly sources: DimensionSources;
}

function compileFunction(
  name: string,
  definition: FunctionSpec,
  { variables, fused = false }: Pick<ProgramSpec, 'variables' | 'fused'>,
): { nodes: GraphNode[]; signature: Signature } {
  const dimensions = dimensionsOf(definition);
  const traces = Array.from({ length: dimensions.length > 0 ? traceCount : 1 }, (_, index) =>
    recordFunction(name, definition, variables, witnesses(dimensions, index), new Recorder(false, fused)),
  );
  const first = traces[0]!;
  try {
    const lowered = lowerTraces(traces, first.sources, name);
    return finishFunction(name, definition, traces, lowered);
  } catch (error) {
    if (!(error instanceof LeakedDimension)) throw error;
    // Trace once more, now keeping the place of each op, which is too slow to do every time.
    const placed = recordFunction(name, definition, variables, first.sizes, new Recorder(true, fused));
    const sizes = dimensions.map((dim) => dim.symbol).join(' or ');
    throw new TraceError(
      `${error.message}: the size of ${sizes} leaks into function ${name}`,
      error.op,
      placed.nodes[error.index]?.place,
    );
  }
}

const portShape = (shape: readonly Size[]): number[] => shape.map((size) => (typeof size === 'number' ? size : -1));

function dimensionsOf(definition: FunctionSpec): Dimension[] {
  const symbols = Object.values(definition.inputs)
    .flatMap((input) => input.shape)
    .flatMap((size) => (typeof size === 'number' ? [] : [size.symbol]));
  return [...new Set(symbols)].map((symbol) => ({ symbol }));
}

function recordFunction(
  functionName: string,
  definition: FunctionSpec,
  variables: readonly Variable[],
  sizes: Map<string, number>,
  recorder: Recorder,
): RecordedFunction {
  return withTracing(recorder, () => {
    const inputs: Record<string, Tensor> = {};
    const sources = new Map<string, { node: number; dtype: DType; axis: number }>();
    for (const [name, { dtype, shape }] of Object.entries(definition.inputs)) {
      const reference = recorder.placeholder(`${functionName}/input_${name}`, dtype, portShape(shape));
      shape.forEach((size, axis) => {
        if (typeof size !== 'number' && !sources.has(size.symbol)) {
          sources.set(size.symbol, { node: reference.node, dtype, axis });
        }
      });
      const numbers = shape.map((size) => (typeof size === 'number' ? size : sizes.get(size.symbol)!));
      inputs[name] = tracingBackend.abstract({ shape: numbers, dtype }, reference);
    }
    const built = definition.build(inputs, scopeOf(recorder, variables));
    const entries = Object.entries(built);
    return {
      nodes: recorder.nodes,
      sizes,
      sources,
      effects: recorder.effects,
      outputs: Object.fromEntries(entries.map(([name, tensor]) => [name, tracingBackend.reference(tensor, name)])),
      outputShapes: Object.fromEntries(
        entries.map(([name, tensor]) => [name, { shape: tensor.shape, dtype: tensor.dtype as DType }]),
      ),
    };
  });
}

function scopeOf(recorder: Recorder, list: readonly Variable[]): VariableScope {
  const variables = new Map(list.map((variable) => [variable.name, variable]));
  const update = (op: string, attrs: Attrs, names: readonly string[], inputs: readonly Tensor[]): void => {
    recorder.effect(
      op,
      attrs,
      names.map((name) => findVariable(variables, name)),
      inputs.map((tensor) => tracingBackend.reference(tensor, op)),
    );
  };
  const assign = (name: string, value: Tensor): void => {
    const { shape, dtype } = findVariable(variables, name);
    if (value.shape.join() !== shape.join() || value.dtype !== dtype) {
      const got = `${value.dtype} [${value.shape.join(', ')}]`;
      throw new TraceError(`${name} is ${dtype} [${shape.join(', ')}], got ${got}`, 'AssignVariableOp', currentPlace());
    }
    update('AssignVariableOp', { dtype: attr.type(dtype), validate_shape: attr.bool(false) }, [name], [value]);
  };
  return {
    read(name) {
      const variable = findVariable(variables, name);
      return tracingBackend.abstract(variable, recorder.read(variable));
    },
    assign,
    replace(names, compute) {
      const values = names.map((name) => {
        const variable = findVariable(variables, name);
        return tracingBackend.abstract(
          variable,
          recorder.inTurn(() => recorder.take(variable)),
        );
      });
      recorder.inTurn(() => {
        const results = compute(values);
        names.forEach((name, i) => {
          assign(name, results[i]!);
        });
      });
    },
    update,
    inTurn: (body) => recorder.inTurn(body),
    onlyIf: (condition, body) => {
      recorder.onlyIf(tracingBackend.reference(condition, 'onlyIf'), body);
    },
  };
}

/** The traces must return the same nodes, under the same names. */
function checkOutputs(traces: readonly RecordedFunction[]): void {
  const first = traces[0]!;
  for (const [name, reference] of Object.entries(first.outputs)) {
    const isEqual = traces.every(({ outputs }) => JSON.stringify(outputs[name]) === JSON.stringify(reference));
    const op = first.nodes[reference.node]!.op;
    if (!isEqual) throw new LeakedDimension(`output ${name} is another tensor at other sizes`, reference.node, op);
  }
  const counts = new Set(traces.map(({ outputs }) => Object.keys(outputs).length));
  if (counts.size > 1) throw new LeakedDimension('the number of outputs differs', first.nodes.length - 1, 'graph');
}

function finishFunction(
  functionName: string,
  definition: FunctionSpec,
  traces: readonly RecordedFunction[],
  lowered: { nodes: GraphNode[]; names: string[] },
): { nodes: GraphNode[]; signature: Signature } {
  const first = traces[0]!;
  checkOutputs(traces);
  const { nodes, renamed } = shareEqualNodes(lowered.nodes);
  const nameOf = ({ node, output }: Reference): string => {
    const name = lowered.names[node]!;
    const kept = renamed.get(name) ?? name;
    return output === 0 ? kept : `${kept}:${output}`;
  };
  const effects = first.effects.map((node) => rename(`^${lowered.names[node]!}`, renamed));
  const inputs: Record<string, Port> = {};
  for (const [name, { dtype, shape }] of Object.entries(definition.inputs)) {
    inputs[name] = {
      tensor: `${functionName}/input_${name}:0`,
      dtype,
      shape: portShape(shape),
      symbols: shape.map((size) => (typeof size === 'number' ? null : size.symbol)),
    };
  }
  const outputs: Record<string, Port> = {};
  for (const [name, reference] of Object.entries(first.outputs)) {
    const { dtype, shape } = first.outputShapes[name]!;
    const sizes = shape.map((size, axis) =>
      traces.every((trace) => trace.outputShapes[name]!.shape[axis] === size) ? size : -1,
    );
    const node = `${functionName}/output_${name}`;
    nodes.push({ name: node, op: 'Identity', inputs: [nameOf(reference), ...effects], attrs: { T: attr.type(dtype) } });
    outputs[name] = { tensor: `${node}:0`, dtype, shape: sizes };
  }
  if (Object.keys(outputs).length === 0) {
    throw new TraceError(`function ${functionName} has no output`, undefined, undefined);
  }
  return { nodes, signature: { inputs, outputs } };
}
