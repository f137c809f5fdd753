import type { Reference } from './recorder.js';
import { recordLoop } from './record-loop.js';
import { EagerList, isTracing, TracedList, type TensorList } from './tensor-list.js';
import { tf, type Tensor } from './tensorflow.js';
import { currentPlace, TraceError } from './trace-error.js';
import { tracingBackend } from './tracing-backend.js';
import type { KnownTensor } from './shape-rules.js';

/** A value that an iteration hands to the next one. */
export type LoopValue = Tensor | TensorList;

/** The values of a loop's variables, one an initial value. */
export type LoopValues<V extends readonly LoopValue[]> = {
  readonly [K in keyof V]: V[K] extends TensorList ? TensorList : Tensor;
};

/**
 * Runs `body` as long as `condition` holds. In a graph the number of iterations may depend on data, and on symbolic
 * sizes; where nothing is traced it is a loop of JavaScript. What the body computes from outside values alone is computed
 * once, before the loop.
 *
 * A loop has no derivative: call it inside `differentiable`, whose gradient may be another loop. Variables of the program
 * can be read in it, but not changed.
 *
 * @param condition a bool scalar of the loop's variables; must depend on them
 * @param body the variables of the next iteration: as many, each of the same shape and dtype
 * @param initial the variables of the first iteration
 * @returns the variables for which the condition no longer holds
 */
export function whileLoop<V extends readonly LoopValue[]>(
  condition: (...variables: LoopValues<V>) => Tensor,
  body: (...variables: LoopValues<V>) => LoopValues<V>,
  initial: readonly [...V],
): LoopValues<V> {
  if (tf.engine().isTapeOn()) {
    fail('a loop has no derivative; call it inside `differentiable`, with a gradient written by hand');
  }
  if (initial.length === 0) fail('a loop needs a variable');
  const run = isTracing() ? traceLoop : runLoop;
  // The parts have as many variables as there are initial values, each of the same kind: both loops check it.
  const parts = { initial, condition, body } as unknown as Loop;
  return run(parts) as unknown as LoopValues<V>;
}

interface Loop {
  readonly initial: readonly LoopValue[];
  readonly condition: (...variables: readonly LoopValue[]) => Tensor;
  readonly body: (...variables: readonly LoopValue[]) => readonly LoopValue[];
}

function fail(message: string): never {
  throw new TraceError(message, 'whileLoop', currentPlace());
}

const isList = (value: LoopValue): value is TensorList => value instanceof TracedList || value instanceof EagerList;

function describe(value: LoopValue): string {
  const tensor = `${value.dtype} [${value.shape.join(', ')}]`;
  return isList(value) ? `a list of ${value.count} times ${tensor}` : tensor;
}

function checkCondition(result: Tensor): void {
  if (result.dtype !== 'bool' || result.shape.length > 0) {
    fail(`the condition is ${describe(result)}, expected a bool scalar`);
  }
}

function checkNext(next: readonly LoopValue[], initial: readonly LoopValue[]): void {
  if (next.length !== initial.length) fail(`the body returns ${next.length} values for ${initial.length} variables`);
  initial.forEach((value, i) => {
    const [got, expected] = [describe(next[i]!), describe(value)];
    if (got !== expected) fail(`variable ${i} is ${expected}, but the body returns ${got}`);
  });
}

function runLoop({ initial, condition, body }: Loop): readonly LoopValue[] {
  let variables = initial;
  tf.tidy(() => {
    const holds = (): boolean =>
      tf.tidy(() => {
        const result = condition(...variables);
        checkCondition(result);
        return Boolean(result.dataSync()[0]);
      });
    while (holds()) {
      tf.tidy(() => {
        const next = body(...variables);
        checkNext(next, initial);
        variables = next;
        return tensorsOf(next);
      });
    }
    return tensorsOf(variables);
  });
  return variables;
}

const tensorsOf = (values: readonly LoopValue[]): Tensor[] =>
  values.flatMap((value) => {
    if (value instanceof EagerList) return value.elements.filter((element) => element !== undefined);
    return isList(value) ? [] : [value];
  });

function traceLoop({ initial, condition, body }: Loop): readonly LoopValue[] {
  const wrap = (references: readonly Reference[]): LoopValue[] =>
    references.map((reference, i) => standIn(initial[i]!, reference));
  const results = recordLoop(tracingBackend.active, {
    initial: initial.map(referenceOf),
    condition(references) {
      const result = condition(...wrap(references));
      checkCondition(result);
      return referenceOf(result);
    },
    body(references) {
      const next = body(...wrap(references));
      checkNext(next, initial);
      return next.map(referenceOf);
    },
  });
  return wrap(results);
}

function referenceOf(value: LoopValue): Reference {
  if (value instanceof TracedList) return value.reference('whileLoop');
  if (value instanceof EagerList) fail('a tensor list made outside of the traced function is used');
  return tracingBackend.reference(value as Tensor, 'whileLoop');
}

/** A value like the given one, as another node computes it. */
function standIn(value: LoopValue, reference: Reference): LoopValue {
  if (value instanceof TracedList) return value.with(reference);
  const { shape, dtype } = value;
  return tracingBackend.abstract({ shape, dtype: dtype as KnownTensor['dtype'] }, reference);
}
