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
  readonly epochs: number;
  /** The run ends after so many steps, or after the epochs. */
  readonly totalSteps: number;
  /** The batches of an epoch (from 0), the same ones however often it is called. */
  batches(epoch: number): Iterable<Batch>;
  stepsPerEpoch: number;
  /** One update. `step` counts from 0. */
  step(batch: Batch, step: number): StepResult;
  /** Called after each epoch and after the last step; undefined: no dev set. */
  readonly evaluate: (() => Metrics) | undefined;
  /** The number to maximise. */
  score(metrics: Metrics): number;
  /** Where to begin: the state of a resumed run. */
  readonly start: LoopState;
}

export interface LoopState {
  /** Steps done. */
  readonly step: number;
  /** Score and step of the best evaluation so far. */
  readonly best: { readonly step: number; readonly score: number } | undefined;
}

export type LoopEvent<Metrics> =
  | ({ readonly kind: 'step'; readonly step: number; readonly epoch: number } & StepResult)
  | {
      readonly kind: 'evaluation';
      readonly step: number;
      readonly epoch: number;
      readonly metrics: Metrics | undefined;
      /** Whether this is the best so far; always true without a dev set. */
      readonly isBest: boolean;
      readonly best: LoopState['best'];
    };

/** Runs the loop. In events `step` counts updates done, `epoch` is the fraction of passes over the data done. */
export function* trainingLoop<Batch, Metrics>(
  options: LoopOptions<Batch, Metrics>,
): Generator<LoopEvent<Metrics>, void, undefined> {
  const { totalSteps, stepsPerEpoch } = options;
  let { step, best } = options.start;
  let epoch = Math.floor(step / stepsPerEpoch);
  let skip = step - epoch * stepsPerEpoch;
  for (; epoch < options.epochs && step < totalSteps; epoch++) {
    for (const batch of options.batches(epoch)) {
      if (skip > 0) {
        skip--;
        continue;
      }
      const result = options.step(batch, step);
      step++;
      yield { kind: 'step', step, epoch: step / stepsPerEpoch, ...result };
      if (step >= totalSteps) break;
    }
    const metrics = options.evaluate?.();
    const score = metrics === undefined ? undefined : options.score(metrics);
    const isBest = score === undefined || best === undefined || score > best.score;
    if (isBest) best = { step, score: score ?? NaN };
    yield { kind: 'evaluation', step, epoch: step / stepsPerEpoch, metrics, isBest, best };
  }
}
