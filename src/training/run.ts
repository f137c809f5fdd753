import { assembleBatch, planBatches, type Batch } from '../data/batches.js';
import { batchPlanOf } from './epochs.js';
import type { EncodedDataset } from '../data/encode.js';
import type { UserError } from '../errors.js';
import type { TrainingConfig } from '../task/schema.js';
import { formatBytes, formatCount, formatDuration, plural } from '../ui/format.js';
import type { Bar, Payload, Reporter } from '../ui/reporter.js';
import type { CheckpointState } from './checkpoints.js';
import { lengthMultiple, type Evaluation, type EvaluationSet } from './evaluate.js';
import { watchInterrupts, type InterruptWatch } from './interrupt.js';
import { evaluationIsDue, isOver, trainingLoop, type Limits, type LoopEvent, type LoopOptions } from './loop.js';
import { tryLongestBatch } from './longest-batch.js';
import { openLog, type LogFile } from './log-file.js';
import { createSaver } from './saver.js';
import { isFiniteStep, linesOf, passOver } from './non-finite.js';
import { scheduleShare, type ScheduleSettings } from './schedule.js';
import { createPeak, type Peak } from './peak.js';
import { createSpeed, type Speed } from './speed.js';
import { createStepLog } from './step-log.js';
import { withBoard } from './tensorboard.js';
import type { Trainer } from './trainer.js';
import type { WeightValues } from './weights.js';

/** Everything a run needs, prepared. */
export interface Run {
  readonly folder: string;
  readonly settings: TrainingConfig;
  readonly train: EncodedDataset;
  /** About what the values of a training step take that its backward pass needs. */
  activationBytes(size: number, length: number): number;
  /** Bytes of memory that are to be had; undefined: not known, as on a GPU. */
  freeMemory(): number | undefined;
  /** Measures how fast the machine multiplies matrices, in floating-point operations a second. */
  measurePeak(): number;
  /** The file of the training data, for messages. */
  readonly trainPath: string;
  readonly dev: EvaluationSet | undefined;
  readonly trainer: Trainer;
  readonly padTokenId: number;
  readonly schedule: ScheduleSettings;
  /** The step after which each epoch ends. */
  readonly epochEnds: readonly number[];
  readonly start: CheckpointState;
  /** Writes the model folder: weights, and what `dev` has chosen for them. */
  saveModel(dev: Evaluation | undefined, values: WeightValues): void;
  /** The weights as they are now, whatever becomes of the trainer's. */
  copyWeights(values: WeightValues): WeightValues;
}

export interface RunOutcome {
  /** Of the whole run, all sittings together. */
  readonly state: CheckpointState;
  /** What the best evaluation measured, if it was in this sitting. */
  readonly bestDev: Evaluation | undefined;
  /** The best weights, where the disk was too full for the model. */
  readonly unwrittenModel: WeightValues | undefined;
  /** What could not be written. */
  readonly failure: UserError | undefined;
  /** Set where a signal ended the run early: the exit code. */
  readonly interrupted: number | undefined;
}

/** The score that decides which epoch is best; larger is better. */
export function scoreOf({ scores }: Evaluation, metric: TrainingConfig['metric']): number {
  const score = scores[metric];
  if (score === undefined) throw new TypeError(`the evaluation has no ${metric}`);
  return score;
}

/** Trains: drives the loop, shows progress, logs, saves. Returns early, with everything saved, at a signal. */
export async function executeRun(run: Run, ui: Reporter): Promise<RunOutcome> {
  const clock = startClock(run.start.seconds);
  const bar = ui.bar(run.schedule.totalSteps, 'training', run.start.step);
  const progress = createProgress(bar, run.start.step);
  const file = withBoard(openLog(run.folder), run, ui);
  const speed = createSpeed();
  const peak = createPeak(() => run.measurePeak());
  const log = createStepLog(run, peak, file);
  const saver = createSaver(run, file, ui);
  const interrupts = watchInterrupts(
    (signal) => {
      ui.info(`${signal}: finishing the step and saving; once more to quit at once`);
    },
    () => {
      bar.stop();
    },
  );
  let state: CheckpointState = run.start;
  let bestDev: Evaluation | undefined;
  const save = (): void => {
    progress.meanwhile({ saving: 'the weights' });
    saver.checkpoint(state);
    progress.meanwhile(undefined);
  };
  try {
    for await (const event of trainingLoop(loopOptions(run, { interrupts, progress, speed, peak, ui }))) {
      if (event.kind === 'step') {
        if (isFiniteStep(event)) {
          const skipped = { ...state.skipped, inARow: 0 };
          state = { ...state, step: event.step, skipped, sinceLog: log.step(event) };
        } else state = passOver(run, event, state, log.recentLoss(), { file, ui });
        state = { ...state, seconds: clock(), examples: state.examples + event.examples };
        progress.step(event.step, figuresOf(event, log.recentLoss(), speed, peak));
        if (!evaluationIsDue(state, limitsOf(run)) && saver.isDue(state)) save();
      } else {
        const { step: evaluated, best, unimproved } = event;
        state = { ...state, evaluated, best, unimproved, seconds: clock() };
        if (event.isBest) bestDev = event.metrics;
        report(file, event, ui, state.seconds);
        if (event.isBest) saver.keepModel(event.step, event.metrics);
        save();
      }
      await interrupts.poll();
      if (interrupts.exitCode !== undefined) break;
    }
    saver.finish(state);
  } finally {
    file.close();
    bar.stop();
    interrupts.stop();
  }
  const over = isOver(state, limitsOf(run));
  if (over && state.step < run.schedule.totalSteps) {
    ui.info(`stopped after step ${state.step}: ${plural(state.unimproved, 'evaluation')} without a better score`);
  }
  return {
    state: { ...state, seconds: clock() },
    bestDev,
    unwrittenModel: saver.unwrittenModel,
    failure: saver.failure(),
    interrupted: over ? undefined : interrupts.exitCode,
  };
}

/** What decides when the run is evaluated and when it is over. */
export const limitsOf = ({ settings, schedule, epochEnds }: Pick<Run, 'settings' | 'schedule' | 'epochEnds'>) =>
  ({
    totalSteps: schedule.totalSteps,
    epochEnds,
    evaluateEvery: settings.eval_every,
    patience: settings.early_stopping_patience,
  }) satisfies Limits;

/** Seconds, counted on from what earlier sittings took. */
function startClock(before: number): () => number {
  const began = performance.now();
  return () => before + (performance.now() - began) / 1000;
}

interface Progress {
  step(done: number, payload: Payload): void;
  /** What goes on between two steps; undefined: nothing any more. */
  meanwhile(what: Payload | undefined): void;
}

/** What the bar says of a step, the most important first: a narrow terminal cuts the line. */
function figuresOf({ learningRate, epoch }: StepEvent, recentLoss: number, speed: Speed, peak: Peak): Payload {
  const { tokens, flops } = speed.perSecond();
  const share = peak.share(flops);
  const ofPeak = share === undefined ? '' : ` (${Math.round(100 * share)} % of peak)`;
  return {
    loss: recentLoss.toFixed(4),
    rate: learningRate === 0 ? '0' : learningRate.toExponential(2),
    'tokens/s': `${formatCount(Math.round(tokens))}${ofPeak}`,
    memory: formatBytes(process.memoryUsage.rss()),
    epoch: epoch.toFixed(2),
  };
}

/** While dev is evaluated and weights are saved, the bar of the steps says so. */
function createProgress(bar: Bar, start: number): Progress {
  let [step, payload]: [number, Payload] = [start, {}];
  return {
    step(done, newPayload) {
      [step, payload] = [done, newPayload];
      bar.update(step, payload);
    },
    meanwhile(what) {
      bar.update(step, { ...payload, ...what });
    },
  };
}

/** The batches of each step of an epoch. */
function* stepBatches({ train, settings, padTokenId }: Run, epoch: number): Generator<Batch[]> {
  const batches = planBatches(train, batchPlanOf(settings, epoch));
  const layout = { multipleOf: lengthMultiple, padTokenId };
  for (let start = 0; start < batches.length; start += settings.gradient_accumulation) {
    const ofStep = batches.slice(start, start + settings.gradient_accumulation);
    yield ofStep.map((indices) => assembleBatch(train, indices, layout));
  }
}

const total = (numbers: readonly number[]): number => numbers.reduce((sum, number) => sum + number, 0);

interface Surroundings {
  readonly interrupts: InterruptWatch;
  readonly progress: Progress;
  readonly speed: Speed;
  readonly peak: Peak;
  readonly ui: Reporter;
}

function loopOptions(
  run: Run,
  { interrupts, progress, speed, peak, ui }: Surroundings,
): LoopOptions<Batch[], Evaluation> {
  const { settings, dev, trainer, schedule } = run;
  return {
    ...limitsOf(run),
    start: run.start,
    batches: (epoch) => stepBatches(run, epoch),
    step(batches, step) {
      if (step === run.start.step) {
        tryLongestBatch(run, batches, run.freeMemory(), ui, (what) => {
          progress.meanwhile({ trying: what });
        });
        progress.meanwhile(undefined);
      }
      const learningRate = settings.learning_rate * scheduleShare(step, schedule);
      const flops = trainer.flops(batches);
      const began = performance.now();
      const { loss, gradNorm } = trainer.step(batches, step, learningRate);
      const seconds = (performance.now() - began) / 1000;
      const [examples, tokens] = [total(batches.map(({ size }) => size)), total(batches.map((batch) => batch.tokens))];
      speed.add({ tokens, flops }, seconds);
      if (!Number.isNaN(flops)) peak.after(seconds);
      const lines = isFiniteStep({ loss, gradNorm }) ? {} : { lines: linesOf(run.train, batches) };
      return { loss, gradNorm, learningRate, examples, tokens, flops, ...lines };
    },
    evaluate:
      dev === undefined
        ? undefined
        : () =>
            dev.evaluate(trainer.predict.bind(trainer), async (done) => {
              const { size } = dev.dataset;
              progress.meanwhile(done < size ? { dev: `${done}/${size}` } : undefined);
              await interrupts.poll();
              return interrupts.exitCode === undefined;
            }),
    score: (evaluation) => scoreOf(evaluation, settings.metric),
  };
}

type StepEvent = Extract<LoopEvent<Evaluation>, { kind: 'step' }>;
type EvaluationEvent = Extract<LoopEvent<Evaluation>, { kind: 'evaluation' }>;

/** Numbers of the dev set as they stand in log.jsonl and metrics.json. */
export const devSummary = ({ loss, scores, threshold }: Evaluation): Record<string, number> => ({
  loss,
  ...scores,
  ...(threshold === undefined ? {} : { threshold }),
});

/** Names of scores as they stand in a sentence, where that is not the key. */
const scoreNames: Readonly<Record<string, string>> = {
  f1: 'F1',
  macro_f1: 'macro F1',
  mcc: 'MCC',
  micro_f1: 'micro F1',
  subset_accuracy: 'subset accuracy',
  majority_accuracy: 'accuracy of the majority class',
};

/** A score's name as it stands in a sentence. */
export const scoreName = (key: string): string => scoreNames[key] ?? key;

function report(file: LogFile, event: EvaluationEvent, ui: Reporter, seconds: number): void {
  const { step, metrics: dev, isBest } = event;
  const epoch = Number(event.epoch.toFixed(4));
  if (dev === undefined) return;
  file.append({ step, epoch, dev: devSummary(dev) });
  const numbers = [['loss', dev.loss] as const, ...Object.entries(dev.scores)]
    .map(([name, value]) => `${scoreName(name)} ${value.toFixed(4)}`)
    .join(', ');
  ui.info(`epoch ${epoch} (${formatDuration(seconds)}): dev ${numbers}${isBest ? ', the best so far' : ''}`);
}
