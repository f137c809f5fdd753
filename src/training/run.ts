import { assembleBatch, planBatches, type Batch } from '../data/batches.js';
import type { EncodedDataset } from '../data/encode.js';
import { UserError } from '../errors.js';
import type { TrainingConfig } from '../task/schema.js';
import { formatDuration } from '../ui/format.js';
import type { Reporter } from '../ui/reporter.js';
import { pruneCheckpoints, writeCheckpoint, type CheckpointState } from './checkpoints.js';
import { evaluateDataset, type BatchSettings, type Evaluation } from './evaluate.js';
import { watchInterrupts } from './interrupt.js';
import { trainingLoop, type LoopEvent, type LoopState } from './loop.js';
import { appendLog } from './run-folder.js';
import { linearSchedule, type ScheduleSettings } from './schedule.js';
import type { Trainer } from './trainer.js';

/** Everything a run needs, prepared. */
export interface Run {
  readonly folder: string;
  readonly settings: TrainingConfig;
  readonly train: EncodedDataset;
  readonly dev: EncodedDataset | undefined;
  readonly numLabels: number;
  readonly trainer: Trainer;
  readonly batching: BatchSettings;
  readonly schedule: ScheduleSettings;
  readonly stepsPerEpoch: number;
  readonly start: LoopState;
  /** Writes the model folder from the trainer's present weights. */
  saveModel(): void;
}

export interface RunOutcome {
  readonly best: LoopState['best'];
  readonly bestDev: Evaluation | undefined;
  readonly steps: number;
  readonly seconds: number;
  readonly examples: number;
  /** Set where a signal ended the run early. */
  readonly interrupted: number | undefined;
}

/** The score that decides which epoch is best; larger is better. */
export function scoreOf(evaluation: Evaluation, metric: TrainingConfig['metric']): number {
  return metric === 'accuracy' ? evaluation.metrics.accuracy : evaluation.metrics.macro.f1;
}

/** Trains: drives the loop, shows progress, logs, saves. Returns early, with everything saved, at a signal. */
export async function executeRun(run: Run, ui: Reporter): Promise<RunOutcome> {
  const { start } = run;
  const began = performance.now();
  const log = createStepLog(run);
  const bar = ui.bar(run.schedule.totalSteps, 'training', start.step);
  const interrupts = watchInterrupts((signal) => {
    ui.info(`${signal}: finishing the step and saving; once more to quit at once`);
  });
  let state: CheckpointState = start;
  let bestDev: Evaluation | undefined;
  let examples = 0;
  let savedStep = start.step;
  try {
    for (const event of trainingLoop(loopOptions(run))) {
      if (event.kind === 'step') {
        checkFinite(event, state);
        examples += event.examples;
        state = { step: event.step, best: state.best };
        log.step(event);
        bar.update(event.step, { loss: log.recentLoss().toFixed(4), epoch: event.epoch.toFixed(2) });
      } else {
        state = { step: event.step, best: event.best };
        if (event.isBest) bestDev = event.metrics;
        report(run, event, ui, performance.now() - began);
        save(run, state);
        savedStep = state.step;
        if (event.isBest) run.saveModel();
      }
      await interrupts.poll();
      if (interrupts.exitCode !== undefined) break;
    }
    if (interrupts.exitCode !== undefined && savedStep !== state.step) save(run, state);
  } finally {
    bar.stop();
    interrupts.stop();
  }
  const seconds = (performance.now() - began) / 1000;
  const steps = state.step - start.step;
  const interrupted = state.step < run.schedule.totalSteps ? interrupts.exitCode : undefined;
  return { best: state.best, bestDev, steps, seconds, examples, interrupted };
}

function loopOptions(run: Run): Parameters<typeof trainingLoop<Batch, Evaluation>>[0] {
  const { settings, train, dev, trainer, batching, schedule } = run;
  return {
    epochs: Infinity,
    totalSteps: schedule.totalSteps,
    stepsPerEpoch: run.stepsPerEpoch,
    start: run.start,
    *batches(epoch) {
      const plan = {
        batchSize: settings.batch_size,
        seed: settings.seed,
        epoch,
        shuffle: settings.shuffle,
        bucketByLength: settings.bucket_by_length,
        multipleOf: batching.multipleOf,
      };
      for (const indices of planBatches(train, plan)) yield assembleBatch(train, indices, batching);
    },
    step(batch, step) {
      const learningRate = settings.learning_rate * linearSchedule(step, schedule);
      const { loss, gradNorm } = trainer.step(batch, step, learningRate);
      return { loss, gradNorm, learningRate, examples: batch.size, tokens: batch.tokens };
    },
    evaluate:
      dev === undefined
        ? undefined
        : () => evaluateDataset(trainer.predict.bind(trainer), dev, run.numLabels, batching),
    score: (evaluation) => scoreOf(evaluation, settings.metric),
  };
}

type StepEvent = Extract<LoopEvent<Evaluation>, { kind: 'step' }>;
type EvaluationEvent = Extract<LoopEvent<Evaluation>, { kind: 'evaluation' }>;

function checkFinite({ step, loss, gradNorm, learningRate }: StepEvent, last: CheckpointState): void {
  if (Number.isFinite(loss) && Number.isFinite(gradNorm)) return;
  throw new UserError(
    'nonFinite',
    `step ${step}: loss ${loss}, gradient norm ${gradNorm}, at learning rate ${learningRate}`,
    last.best === undefined
      ? 'A lower training.learning_rate is the usual remedy.'
      : `The best weights so far (step ${last.best.step}) are kept. A lower training.learning_rate is the usual remedy.`,
  );
}

function save(run: Run, state: CheckpointState): void {
  writeCheckpoint(run.folder, state, (folder) => {
    run.trainer.save(folder);
  });
  pruneCheckpoints(run.folder, run.settings.keep, state.best?.step);
}

/** Numbers of the dev set as they stand in log.jsonl and metrics.json. */
export const devSummary = ({ loss, metrics }: Evaluation): Record<string, number> => ({
  loss,
  accuracy: metrics.accuracy,
  macro_f1: metrics.macro.f1,
});

function report(run: Run, event: EvaluationEvent, ui: Reporter, milliseconds: number): void {
  const { step, metrics: dev, isBest } = event;
  const epoch = Number(event.epoch.toFixed(4));
  if (dev === undefined) return;
  appendLog(run.folder, { step, epoch, dev: devSummary(dev) });
  const numbers = `loss ${dev.loss.toFixed(4)}, accuracy ${dev.metrics.accuracy.toFixed(4)}, macro F1 ${dev.metrics.macro.f1.toFixed(4)}`;
  ui.info(`epoch ${epoch}: dev ${numbers}${isBest ? ' (best so far)' : ''} [${formatDuration(milliseconds / 1000)}]`);
}

/** Writes a line of log.jsonl every `log_every` steps: means since the last line. */
function createStepLog(run: Run): { step(event: StepEvent): void; recentLoss(): number } {
  let since = performance.now();
  let window: StepEvent[] = [];
  let recent = NaN;
  return {
    recentLoss: () => recent,
    step(event) {
      window.push(event);
      const mean = window.reduce((sum, { loss }) => sum + loss, 0) / window.length;
      recent = Number.isNaN(recent) ? event.loss : 0.9 * recent + 0.1 * event.loss;
      if (event.step % run.settings.log_every !== 0 && event.step !== run.schedule.totalSteps) return;
      const seconds = (performance.now() - since) / 1000;
      appendLog(run.folder, {
        step: event.step,
        epoch: Number(event.epoch.toFixed(4)),
        loss: mean,
        learning_rate: event.learningRate,
        grad_norm: event.gradNorm,
        examples_per_second: Number((window.reduce((sum, { examples }) => sum + examples, 0) / seconds).toFixed(2)),
        tokens_per_second: Number((window.reduce((sum, { tokens }) => sum + tokens, 0) / seconds).toFixed(1)),
      });
      since = performance.now();
      window = [];
    },
  };
}
