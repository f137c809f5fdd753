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
}

export interface LoopOptions<Batch, Metrics> {
  /** Steps of the whole run. */
  readonly totalSteps: number;
  readonly stepsPerEpoch: number;
  /** The batches of an epoch (from 0), the same ones however often it is called. */
  batches(epoch: number): Iterable<Batch>;
  /** One update. `step` counts from 0. */
  step(batch: Batch, step: number): StepResult;
  /**
   * Called after each epoch and after the last step; absent: no dev set. Undefined metrics: it was told to stop, and so
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
}

export const beginning: LoopState = { step: 0, evaluated: 0, best: undefined };

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
    };

/** Whether an evaluation follows: at the end of an epoch and of the run, unless it has been done. */
export function evaluationIsDue(
  { step, evaluated }: LoopState,
  { totalSteps, stepsPerEpoch }: { readonly totalSteps: number; readonly stepsPerEpoch: number },
): boolean {
  return step > evaluated && (step >= totalSteps || step % stepsPerEpoch === 0);
}

/** Runs the loop. In events `step` counts updates done, `epoch` is the fraction of passes over the data done. */
export async function* trainingLoop<Batch, Metrics>(
  options: LoopOptions<Batch, Metrics>,
): AsyncGenerator<LoopEvent<Metrics>, void, undefined> {
  const { totalSteps, stepsPerEpoch } = options;
  let state = options.start;
  let skip = state.step % stepsPerEpoch;
  while (state.step < totalSteps || evaluationIsDue(state, options)) {
    // A run that was stopped between an epoch's last step and its evaluation goes on with the evaluation.
    if (!evaluationIsDue(state, options)) {
      for (const batch of options.batches(Math.floor(state.step / stepsPerEpoch))) {
        if (skip > 0) {
          skip--;
          continue;
        }
        const result = options.step(batch, state.step);
        state = { ...state, step: state.step + 1 };
        yield { kind: 'step', step: state.step, epoch: state.step / stepsPerEpoch, ...result };
        if (state.step >= totalSteps) break;
      }
    }
    skip = 0;
    const metrics = await options.evaluate?.();
    if (metrics === undefined && options.evaluate !== undefined) return;
    const score = metrics === undefined ? undefined : options.score(metrics);
    const { step, best: previous } = state;
    const isBest = score === undefined || previous === undefined || score > previous.score;
    const best = isBest ? { step, score: score ?? NaN } : previous;
    state = { step, evaluated: step, best };
    yield { kind: 'evaluation', step, epoch: step / stepsPerEpoch, metrics, isBest, best };
  }
}
