import type { DType } from './dtypes.js';
import { attr, type Attrs, type ConstValues } from './node.js';
import { currentPlace } from './trace-error.js';

/** An output of a recorded node. */
export interface Reference {
  readonly node: number;
  readonly output: number;
}

/** A variable of the program. `dtype` is that of the stored value. */
export interface Variable {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/**
 * One op as it was recorded in one trace. Constants keep their raw values here: whether they are true
 * constants or depend on a symbolic dimension shows only when traces are compared.
 */
export interface RecordedNode {
  readonly op: string;
  readonly attrs: Attrs;
  readonly inputs: readonly Reference[];
  readonly controls: readonly number[];
  /** Set for nodes whose name matters: placeholders and variable handles. */
  readonly name?: string;
  readonly constant?: RecordedConstant;
  readonly place?: string;
}

export interface RecordedConstant {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly values: ConstValues;
}

/** The attributes of the node that holds a variable; `shared_name` makes it the same in every function. */
export const handleAttrs = ({ name, dtype, shape }: Variable): Attrs => ({
  container: attr.string(''),
  shared_name: attr.string(name),
  dtype: attr.type(dtype),
  shape: attr.shape(shape),
});

interface VariableState {
  readonly handle: Reference;
  read: Reference | undefined;
  readsSinceEffect: number[];
  lastEffect: number | undefined;
}

/** The list of ops that a function asks for while it is traced, with the order of effects on variables. */
export class Recorder {
  readonly nodes: RecordedNode[] = [];
  readonly effects: number[] = [];
  private readonly variables = new Map<string, VariableState>();
  private waitsFor: readonly number[] = [];

  /** `recordPlaces`: keep for each node the line of code that asked for it (slow, for messages). */
  constructor(private readonly recordPlaces = false) {}

  add(node: Omit<RecordedNode, 'place' | 'controls'> & { controls?: readonly number[] }): number {
    const place = this.recordPlaces ? currentPlace() : undefined;
    const waits = node.constant === undefined && node.name === undefined ? this.waitsFor : [];
    const controls = [...(node.controls ?? []), ...waits];
    this.nodes.push({ ...node, controls, ...(place === undefined ? {} : { place }) });
    return this.nodes.length - 1;
  }

  /** Every op recorded by `body` gets a control input: it runs only when the node is computed. */
  after<T>(node: number, body: () => T): T {
    const outer = this.waitsFor;
    this.waitsFor = [...outer, node];
    try {
      return body();
    } finally {
      this.waitsFor = outer;
    }
  }

  constant(constant: RecordedConstant): Reference {
    return { node: this.add({ op: 'Const', attrs: {}, inputs: [], constant }), output: 0 };
  }

  /** `shape`: -1 for a symbolic size. */
  placeholder(name: string, dtype: DType, shape: readonly number[]): Reference {
    const attrs = { dtype: attr.type(dtype), shape: attr.shape(shape) };
    return { node: this.add({ op: 'Placeholder', name, attrs, inputs: [] }), output: 0 };
  }

  /** Reads a variable: its value after all effects recorded so far. */
  read(variable: Variable): Reference {
    const state = this.stateOf(variable);
    if (state.read !== undefined) return state.read;
    const node = this.add({
      op: 'ReadVariableOp',
      attrs: { dtype: attr.type(variable.dtype) },
      inputs: [state.handle],
      controls: state.lastEffect === undefined ? [] : [state.lastEffect],
    });
    state.readsSinceEffect.push(node);
    state.read = { node, output: 0 };
    return state.read;
  }

  /**
   * Records an op that changes variables. It runs after the reads recorded before it, and reads recorded
   * after it see its result, as tf.function's automatic control dependencies arrange it.
   */
  effect(op: string, attrs: Attrs, variables: readonly Variable[], inputs: readonly Reference[]): void {
    const states = variables.map((variable) => this.stateOf(variable));
    const controls = states.flatMap((state) => [
      ...state.readsSinceEffect,
      ...(state.lastEffect === undefined ? [] : [state.lastEffect]),
    ]);
    const node = this.add({ op, attrs, inputs: [...states.map((state) => state.handle), ...inputs], controls });
    this.effects.push(node);
    for (const state of states) {
      state.lastEffect = node;
      state.readsSinceEffect = [];
      state.read = undefined;
    }
  }

  /** Every op recorded by `body` runs after the latest effect recorded before it. */
  inTurn<T>(body: () => T): T {
    const latest = this.effects.at(-1);
    return latest === undefined ? body() : this.after(latest, body);
  }

  private stateOf(variable: Variable): VariableState {
    const known = this.variables.get(variable.name);
    if (known !== undefined) return known;
    const node = this.add({
      op: 'VarHandleOp',
      name: variable.name,
      attrs: handleAttrs(variable),
      inputs: [],
    });
    const state: VariableState = {
      handle: { node, output: 0 },
      read: undefined,
      readsSinceEffect: [],
      lastEffect: undefined,
    };
    this.variables.set(variable.name, state);
    return state;
  }
}
