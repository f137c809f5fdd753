/**
 * The training loop. It is given batches, a step and an evaluate function and yields what happened: printing, saving
 * and deciding when to stop are its caller's.
 */

export interface StepResult {
  readonly loss: number;
  /** Global norm of the gradients before clipping. */
  readonly gradNorm: number;
  readonly learningRate: number;
  /** Examples and real tokens of the batch. */
  readonly examples: number;
  readonly tokens: number;
  /** Floating-point operations of the step's matrix products; NaN: not known. */
  readonly flops: number;
  /** Where the examples begin in their file; there where something is wrong with the step. */
  readonly lines?: readonly number[];
}

export interface LoopOptions<Batch, Metrics> {
  /** Steps of the whole run. */
  readonly totalSteps: number;
  /** The step after which each epoch ends, ascending; the last is at least totalSteps. */
  readonly epochEnds: readonly number[];
  /** Steps between two evaluations; absent: they are at the ends of epochs. */
  readonly evaluateEvery?: number | undefined;
  /** The run ends after so many evaluations in a row that are no better than the best before; absent: it does not. */
  readonly patience?: number | undefined;
  /** The batches of an epoch (from 0), the same ones however often it is called. */
  batches(epoch: number): Iterable<Batch>;
  /** One update. `step` counts from 0. */
  step(batch: Batch, step: number): StepResult;
  /**
   * Called when an evaluation is due; absent: no dev set. Undefined metrics: it was told to stop, and so
   * does the loop; the evaluation is still due.
   */
  readonly evaluate: (() => Promise<Metrics | undefined>) | undefined;
  /** The number to maximise. */
  score(metrics: Metrics): number;
  /** Where to begin: the state of a resumed run. */
  readonly start: LoopState;
}

export interface LoopState {
  /** Steps done. */
  readonly step: number;
  /** The step after which the last evaluation was, 0 before the first one. */
  readonly evaluated: number;
  /** Score and step of the best evaluation so far. */
  readonly best: { readonly step: number; readonly score: number } | undefined;
  /** Evaluations since the best. */
  readonly unimproved: number;
}

export const beginning: LoopState = { step: 0, evaluated: 0, best: undefined, unimproved: 0 };

export type LoopEvent<Metrics> =
  | ({ readonly kind: 'step'; readonly step: number; readonly epoch: number } & StepResult)
  | {
      readonly kind: 'evaluation';
      readonly step: number;
      readonly epoch: number;
      /** Undefined without a dev set. */
      readonly metrics: Metrics | undefined;
      /** Whether this is the best so far; always true without a dev set. */
      readonly isBest: boolean;
      readonly best: LoopState['best'];
      readonly unimproved: number;
    };

/** What decides when a run is evaluated and when it is over. */
export type Limits = Pick<LoopOptions<never, never>, 'totalSteps' | 'epochEnds' | 'evaluateEvery' | 'patience'>;

/** Whether an evaluation follows: where the limits say so and at the end of the run, unless it has been done. */
export function evaluationIsDue({ step, evaluated }: LoopState, limits: Limits): boolean {
  const { totalSteps, epochEnds, evaluateEvery } = limits;
  const isTime = evaluateEvery === undefined ? epochEnds.includes(step) : step % evaluateEvery === 0;
  return step > evaluated && (step >= totalSteps || isTime);
}

/** How many passes over the data so many steps are. */
export function epochsDone(step: number, epochEnds: readonly number[]): number {
  const { epoch, begin } = epochOf(step, epochEnds);
  const end = epochEnds[epoch];
  return end === undefined ? epoch : epoch + (step - begin) / (end - begin);
}

/** The epoch (from 0) of the step after `step`, and how many steps were before it. */
function epochOf(step: number, epochEnds: readonly number[]): { epoch: number; begin: number } {
  const epoch = epochEnds.filter((end) => end <= step).length;
  return { epoch, begin: epochEnds[epoch - 1] ?? 0 };
}

/** Whether a run has come to its end, by its steps or because it got no better. */
export function isOver(
  { evaluated, unimproved }: LoopState,
  { totalSteps, patience = Infinity }: Pick<Limits, 'totalSteps' | 'patience'>,
): boolean {
  return evaluated >= totalSteps || unimproved >= patience;
}

/** Runs the loop. In events `step` counts updates done, `epoch` is the fraction of passes over the data done. */
export async function* trainingLoop<Batch, Metrics>(
  options: LoopOptions<Batch, Metrics>,
): AsyncGenerator<LoopEvent<Metrics>, void, undefined> {
  const { epochEnds } = options;
  let state = options.start;
  const batches = batchesFrom(options, state.step);
  while (!isOver(state, options)) {
    // A run that was stopped between a step and its evaluation goes on with the evaluation.
    while (!evaluationIsDue(state, options)) {
      const result = options.step(batches.next().value, state.step);
      state = { ...state, step: state.step + 1 };
      yield { kind: 'step', step: state.step, epoch: epochsDone(state.step, epochEnds), ...result };
    }
    const metrics = await options.evaluate?.();
    if (metrics === undefined && options.evaluate !== undefined) return;
    const score = metrics === undefined ? undefined : options.score(metrics);
    const { step, best: previous } = state;
    const isBest = score === undefined || previous === undefined || score > previous.score;
    const best = isBest ? { step, score: score ?? NaN } : previous;
    state = { step, evaluated: step, best, unimproved: isBest ? 0 : state.unimproved + 1 };
    yield {
      kind: 'evaluation',
      epoch: epochsDone(step, epochEnds),
      metrics,
      isBest,
      step,
      best,
      unimproved: state.unimproved,
    };
  }
}

/** The batches of epoch after epoch, those of the first `step` steps left out. */
function* batchesFrom<Batch>(
  { batches, epochEnds }: Pick<LoopOptions<Batch, never>, 'batches' | 'epochEnds'>,
  step: number,
): Generator<Batch, never, undefined> {
  const first = epochOf(step, epochEnds);
  let skip = step - first.begin;
  for (let { epoch } = first; ; epoch++) {
    for (const batch of batches(epoch)) {
      if (skip > 0) skip--;
      else yield batch;
    }
  }
}
