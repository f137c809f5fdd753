import type { DType } from './dtypes.js';
import { attr, type Attrs, type ConstValues, type GraphNode } from './node.js';
import { currentPlace, TraceError } from './trace-error.js';

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
  /** The dtype of each output. */
  readonly outputs: readonly DType[];
  /** Set for nodes whose name matters: placeholders and variable handles. */
  readonly name?: string;
  readonly constant?: RecordedConstant;
  readonly place?: string;
  /** Of a matrix product: its floating-point operations at the sizes of this trace; NaN in a loop. */
  readonly flops?: number;
}

export interface RecordedConstant {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly values: ConstValues;
}

/** The attributes of the node that holds a variable; `shared_name` makes it the same in every function. */
const handleAttrs = ({ name, dtype, shape }: Variable): Attrs => ({
  container: attr.string(''),
  shared_name: attr.string(name),
  dtype: attr.type(dtype),
  shape: attr.shape(shape),
});

/** The node that holds a variable. */
export const handleNode = (variable: Variable): GraphNode => ({
  name: variable.name,
  op: 'VarHandleOp',
  inputs: [],
  attrs: handleAttrs(variable),
});

/** The inside of a loop: what depends on a loop variable, and so is computed once an iteration. */
export interface Frame {
  readonly name: string;
  readonly depth: number;
  readonly outer: Frame | undefined;
  /** What the loop as a whole waits for. */
  readonly waits: readonly number[];
  /** Values from outside as the frame's nodes see them, by `node:output`. */
  readonly entered: Map<string, Reference>;
  /** A node that is computed exactly where the part of the loop that is recorded now is. */
  pivot: number;
  isOpen: boolean;
}

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
  /** The frame of each node, undefined outside of all loops. */
  private readonly frames: (Frame | undefined)[] = [];
  private frame: Frame | undefined;
  private frameCount = 0;

  /**
   * `recordPlaces`: keep for each node the line of code that asked for it (slow, for messages).
   * `fused`: whether the ops of fused-ops.ts may be asked for.
   */
  constructor(
    private readonly recordPlaces = false,
    readonly fused = false,
  ) {}

  /** Records a node. It belongs to the innermost loop that one of its inputs belongs to. */
  add(node: Omit<RecordedNode, 'place' | 'controls'> & { controls?: readonly number[] }): number {
    const waits = node.constant === undefined && node.name === undefined ? this.waitsFor : [];
    const controls = [...(node.controls ?? []), ...waits];
    const frame = this.innermost([...node.inputs.map((input) => input.node), ...controls]);
    if (frame === undefined) return this.append({ ...node, controls }, undefined);
    const inputs = node.inputs.map((input) => this.lift(input, frame));
    const own = controls.filter((control) => !frame.waits.includes(control));
    const lifted = own.map((control) => this.liftControl(control, frame));
    const flops = node.flops === undefined ? {} : { flops: NaN };
    return this.append({ ...node, inputs, controls: lifted, ...flops }, frame);
  }

  /** Records a node as it is, into a frame. */
  append(node: Omit<RecordedNode, 'place'>, frame: Frame | undefined): number {
    const place = this.recordPlaces ? currentPlace() : undefined;
    this.nodes.push({ ...node, ...(place === undefined ? {} : { place }) });
    this.frames.push(frame);
    return this.nodes.length - 1;
  }

  /** Begins a loop: until `closeFrame`, what depends on nodes of this frame belongs to it. */
  openFrame(): Frame {
    const { frame: outer, waitsFor: waits } = this;
    const name = `loop_${this.frameCount++}`;
    this.frame = { name, depth: (outer?.depth ?? 0) + 1, outer, waits, entered: new Map(), pivot: -1, isOpen: true };
    return this.frame;
  }

  closeFrame(frame: Frame): void {
    frame.isOpen = false;
    this.frame = frame.outer;
  }

  dtypeOf({ node, output }: Reference): DType {
    return this.nodes[node]!.outputs[output]!;
  }

  frameOf({ node }: Reference): Frame | undefined {
    return this.frames[node];
  }

  /** A node's value as the nodes of `frame` see it. What comes from outside is the same in each iteration. */
  lift(reference: Reference, frame: Frame | undefined): Reference {
    if (frame === undefined || this.frames[reference.node] === frame) return reference;
    const key = `${reference.node}:${reference.output}`;
    const known = frame.entered.get(key);
    if (known !== undefined) return known;
    const outside = this.lift(reference, frame.outer);
    const entered = { node: this.enter(outside, frame, true, []), output: 0 };
    frame.entered.set(key, entered);
    return entered;
  }

  /**
   * A node's value as a node of `frame`. Unlike a lifted value, which TensorFlow hands to every iteration, the last
   * and incomplete one too, it is there only where the part of the loop that is recorded now is computed.
   */
  inside(reference: Reference, frame: Frame | undefined): Reference {
    if (frame === undefined || this.frames[reference.node] === frame) return reference;
    const dtype = this.dtypeOf(reference);
    const inputs = [this.lift(reference, frame)];
    const attrs = { T: attr.type(dtype) };
    return {
      node: this.append({ op: 'Identity', attrs, inputs, controls: [frame.pivot], outputs: [dtype] }, frame),
      output: 0,
    };
  }

  /** A loop variable's first value, or a value that stays, on its way into a frame. */
  enter(reference: Reference, frame: Frame, isConstant: boolean, controls: readonly number[]): number {
    const dtype = this.dtypeOf(reference);
    const attrs = {
      T: attr.type(dtype),
      frame_name: attr.string(frame.name),
      is_constant: attr.bool(isConstant),
      parallel_iterations: attr.int(10),
    };
    return this.append({ op: 'Enter', attrs, inputs: [reference], controls, outputs: [dtype] }, frame);
  }

  /** What the ops asked for now wait for, as control inputs of nodes of `frame`. */
  waitsIn(frame: Frame | undefined): number[] {
    if (frame === undefined) return [...this.waitsFor];
    const own = this.waitsFor.filter((control) => !frame.waits.includes(control));
    return own.map((control) => this.liftControl(control, frame));
  }

  /** Sets an input of a recorded node: the only way to an input that is recorded later, the end of a loop's body. */
  connect(node: number, input: number, reference: Reference): void {
    const recorded = this.nodes[node]!;
    this.nodes[node] = { ...recorded, inputs: recorded.inputs.with(input, reference) };
  }

  /** @throws TraceError where a value of a loop's body is used after the loop */
  checkScope(reference: Reference, op: string | undefined): void {
    if (this.frames[reference.node]?.isOpen !== false) return;
    throw new TraceError(
      'a tensor made inside a loop is used outside of it; return it from the body as a loop variable, or put it into a ' +
        'tensor list',
      op,
      currentPlace(),
    );
  }

  /** Every op recorded by `body` gets a control input: it runs only when the node is computed. */
  after<T>(node: number, body: () => T): T {
    return this.waiting([...this.waitsFor, node], body);
  }

  private waiting<T>(nodes: readonly number[], body: () => T): T {
    const outer = this.waitsFor;
    this.waitsFor = nodes;
    try {
      return body();
    } finally {
      this.waitsFor = outer;
    }
  }

  constant(constant: RecordedConstant): Reference {
    return { node: this.add({ op: 'Const', attrs: {}, inputs: [], outputs: [constant.dtype], constant }), output: 0 };
  }

  /** `shape`: -1 for a symbolic size. */
  placeholder(name: string, dtype: DType, shape: readonly number[]): Reference {
    const attrs = { dtype: attr.type(dtype), shape: attr.shape(shape) };
    return { node: this.add({ op: 'Placeholder', name, attrs, inputs: [], outputs: [dtype] }), output: 0 };
  }

  /** Reads a variable: its value after all effects recorded so far. */
  read(variable: Variable): Reference {
    const state = this.stateOf(variable);
    if (state.read !== undefined) return state.read;
    // Read outside of all loops, whatever is waited for inside: the value is kept for reads that follow.
    const node = this.waiting(this.outermostWaits(), () =>
      this.add({
        op: 'ReadVariableOp',
        attrs: { dtype: attr.type(variable.dtype) },
        inputs: [state.handle],
        controls: state.lastEffect === undefined ? [] : [state.lastEffect],
        outputs: [variable.dtype],
      }),
    );
    state.readsSinceEffect.push(node);
    state.read = { node, output: 0 };
    return state.read;
  }

  /**
   * Records an op that changes variables. It runs after the reads recorded before it, and reads recorded
   * after it see its result, as tf.function's automatic control dependencies arrange it.
   */
  effect(op: string, attrs: Attrs, variables: readonly Variable[], inputs: readonly Reference[]): void {
    this.refuseEffects(op);
    const states = variables.map((variable) => this.stateOf(variable));
    const controls = states.flatMap((state) => [
      ...state.readsSinceEffect,
      ...(state.lastEffect === undefined ? [] : [state.lastEffect]),
    ]);
    const handles = states.map((state) => state.handle);
    const node = this.add({ op, attrs, inputs: [...handles, ...inputs], controls, outputs: [] });
    this.effects.push(node);
    for (const state of states) {
      state.lastEffect = node;
      state.readsSinceEffect = [];
      state.read = undefined;
    }
  }

  /**
   * Takes a variable's value away from it: nobody else holds the value then, so that an op may write into its memory. The
   * variable has to be set before it is read again.
   */
  take(variable: Variable): Reference {
    const value = this.read(variable);
    this.effect('DestroyResourceOp', { ignore_lookup_error: attr.bool(false) }, [variable], []);
    return value;
  }

  /** Every op recorded by `body` runs after the latest effect recorded before it. */
  inTurn<T>(body: () => T): T {
    this.refuseEffects('inTurn');
    const latest = this.effects.at(-1);
    return latest === undefined ? body() : this.after(latest, body);
  }

  /**
   * What `body` records is computed only where `condition`, a bool scalar, is true; no value of it may be used after it.
   * These are the nodes of TensorFlow 1's `tf.cond`: a node that waits for the side of Switch that is not taken is dead and
   * does nothing; Merge, which both sides lead to, is what later reads and effects wait for.
   */
  onlyIf(condition: Reference, body: () => void): void {
    this.refuseEffects('onlyIf');
    const attrs = { T: attr.type('bool') };
    const add = (op: string, inputs: readonly Reference[], controls: readonly number[] = []): number =>
      this.add({ op, attrs, inputs, controls, outputs: ['bool'] });
    const choice = this.add({ op: 'Switch', attrs, inputs: [condition, condition], outputs: ['bool', 'bool'] });
    // What comes after waits for what was before, also where the body is left out.
    const before = [...this.variables.values()].flatMap(({ lastEffect, readsSinceEffect }) =>
      lastEffect === undefined ? readsSinceEffect : [lastEffect, ...readsSinceEffect],
    );
    const no = add('Identity', [{ node: choice, output: 0 }], before);
    const yes = add('Identity', [{ node: choice, output: 1 }]);
    const [firstNode, firstEffect] = [this.nodes.length, this.effects.length];
    this.after(yes, body);
    const states = [...this.variables.values()];
    const isInside = (node: number | undefined): boolean => node !== undefined && node >= firstNode;
    const reads = states.flatMap(({ readsSinceEffect }) => readsSinceEffect.filter(isInside));
    const inside = [...this.effects.splice(firstEffect), ...reads];
    const done = add('Identity', [{ node: yes, output: 0 }], inside);
    const merge = this.add({
      op: 'Merge',
      attrs: { ...attrs, N: attr.int(2) },
      inputs: [
        { node: no, output: 0 },
        { node: done, output: 0 },
      ],
      outputs: ['bool', 'int32'],
    });
    this.effects.push(merge);
    for (const state of states) {
      if (isInside(state.lastEffect)) state.lastEffect = merge;
      if (isInside(state.read?.node)) state.read = undefined;
      if (!state.readsSinceEffect.some(isInside)) continue;
      state.readsSinceEffect = [...state.readsSinceEffect.filter((read) => !isInside(read)), merge];
    }
  }

  private innermost(nodes: readonly number[]): Frame | undefined {
    let found: Frame | undefined;
    if (this.frame === undefined) return found;
    for (const node of nodes) {
      const frame = this.frames[node];
      if (frame?.isOpen === true && frame.depth > (found?.depth ?? 0)) found = frame;
    }
    return found;
  }

  private liftControl(control: number, frame: Frame): number {
    return this.lift({ node: control, output: 0 }, frame).node;
  }

  private outermostWaits(): readonly number[] {
    let waits = this.waitsFor;
    for (let frame = this.frame; frame !== undefined; frame = frame.outer) waits = frame.waits;
    return waits;
  }

  private refuseEffects(op: string): void {
    if (this.frame === undefined) return;
    throw new TraceError('variables cannot be changed inside a loop; change them after it', op, currentPlace());
  }

  private stateOf(variable: Variable): VariableState {
    const known = this.variables.get(variable.name);
    if (known !== undefined) return known;
    const node = this.add({
      op: 'VarHandleOp',
      name: variable.name,
      attrs: handleAttrs(variable),
      inputs: [],
      outputs: ['resource'],
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
