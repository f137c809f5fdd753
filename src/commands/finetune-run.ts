import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { LoadPlan } from '../checkpoints/checkpoint.js';
import { hasModelCard, writeModelHead, writeModelWeights, type ModelCard } from '../checkpoints/model-folder.js';
import { commandLine } from './command-line.js';
import { circumstancesOf, finishRun, type FinishedRun } from './finetune-finish.js';
import type { RunMetrics } from './finetune-metrics.js';
import type { Prepared } from './finetune-prepared.js';
import { runSeeds, seedsOf } from './finetune-seeds.js';
import type { FinetuneOptions } from './options.js';
import { exitCodes, UserError } from '../errors.js';
import { nodeBackend } from '../graph/index.js';
import type { Network } from '../models/network.js';
import { loadTask, portableTask, taskYaml, type ResolvedTask } from '../task/load.js';
import { mayBePinnedAs } from '../sources/pinned.js';
import { isMapping } from '../task/overrides.js';
import { loadTokenizer } from '../tokenization/load.js';
import { formatCount, plural } from '../ui/format.js';
import type { Reporter } from '../ui/reporter.js';
import { checkpointSteps, newestCheckpoint, type CheckpointState } from '../training/checkpoints.js';
import { lossCountOf } from '../training/accumulation.js';
import { adversaryOf } from '../training/adversary.js';
import { checkDiskSpace, freeBytes } from '../training/disk-space.js';
import { deviceInUse, resolvePrecision } from '../training/device.js';
import type { Evaluation } from '../training/evaluate.js';
import { truncateLog } from '../training/log-file.js';
import { epochEndsOf } from '../training/epochs.js';
import { beginning, isOver } from '../training/loop.js';
import { classWeightsOf, withLoss } from '../training/loss.js';
import { checkFit, openStartingModel } from '../training/model-source.js';
import { optimizerOf } from '../training/optimizers.js';
import { activationBytes } from '../training/memory.js';
import { bytesOf } from '../training/weights.js';
import { measurePeak } from '../training/peak.js';
import { phase } from '../training/phase.js';
import { prepareTask, withMethods } from '../training/prepare.js';
import { trainingProgram } from '../training/program.js';
import { lockRun, refuseLockedRun } from '../training/run-lock.js';
import { createRun, defaultRunFolder, refuseExistingRun, refuseMissingRun, tidyRun } from '../training/run-folder.js';
import { executeRun, limitsOf, type Run, type RunOutcome } from '../training/run.js';
import { decayOf, warmupSteps } from '../training/schedule.js';
import type { Techniques } from '../training/techniques.js';
import { openTrainer, type Trainer } from '../training/trainer.js';
import { frozenVariables, rateFactorsOf } from '../training/variable-rates.js';
import { virtualAdversaryOf } from '../training/virtual-adversary.js';

/** Fine-tunes as the options say. Resolves to the exit code. */
export async function runFinetune(options: FinetuneOptions, ui: Reporter): Promise<number> {
  const seeds = seedsOf(options);
  const prepared = await prepare(options, ui);
  try {
    if (options.dryRun) return dryRun(prepared, seeds, ui);
    if (seeds !== undefined) return await trainSeeds(prepared, seeds, options, ui);
    const ended = await train(prepared, options.resume, ui, ({ metrics, report, summary }) => {
      ui.json({ run: prepared.folder, ...metrics });
      if (report !== undefined) ui.result(`${report}\n`);
      ui.result(summary);
    });
    return typeof ended === 'number' ? ended : exitCodes.ok;
  } finally {
    prepared.model.close();
  }
}

function trainSeeds(
  prepared: Prepared,
  seeds: readonly number[],
  options: FinetuneOptions,
  ui: Reporter,
): Promise<number> {
  const { task, folder, device, precision } = prepared;
  return runSeeds({
    folder,
    seeds,
    resume: options.resume,
    taskYaml: taskYaml(task),
    circumstances: circumstancesOf(device, precision),
    ui,
    train: async (seed, seedFolder, resume) =>
      train(await withSeed(prepared, seed, seedFolder, ui), resume, ui, () => undefined),
  });
}

/** The same run with another seed, which is what `--set training.seed` would make of it. */
async function withSeed(prepared: Prepared, seed: number, folder: string, ui: Reporter): Promise<Prepared> {
  const { task } = prepared;
  const training = { ...task.config.training, seed };
  const seeded = { ...task, config: { ...task.config, training } };
  // What is held out for dev hangs on the seed.
  const isSame = task.config.data.dev_fraction === 0 || seed === task.config.training.seed;
  const read = isSame ? prepared : await readData(seeded, prepared, ui);
  return { ...prepared, ...read, task: seeded, folder };
}

async function prepare(options: FinetuneOptions, ui: Reporter): Promise<Prepared> {
  const task = options.resume ? taskOfRun(options) : loadTaskOf(options);
  const folder = options.output ?? defaultRunFolder(task.name, new Date());
  if (!options.resume) refuseExistingRun(folder);
  const device = deviceInUse(options.device, nodeBackend.isUsingGpuDevice);
  const precision = resolvePrecision(task.config.training.precision, device);
  ui.info(`device: ${device.description}, ${precision}`);
  const model = await openStartingModel(task, ui);
  try {
    const tokenizer = loadTokenizer(model.tokenizerFolder);
    for (const note of tokenizer.notes) ui.info(note);
    checkFit(model.config, tokenizer, task.config.model.max_length);
    const read = await readData(task, { tokenizer }, ui);
    return {
      task: withSource(task, model.source),
      folder,
      output: folder,
      device,
      precision,
      model,
      tokenizer,
      ...read,
    };
  } catch (error) {
    model.close();
    throw error;
  }
}

async function readData(
  task: ResolvedTask,
  { tokenizer }: Pick<Prepared, 'tokenizer'>,
  ui: Reporter,
): Promise<Pick<Prepared, 'data' | 'classWeights'>> {
  const data = await prepareTask(task, tokenizer, ui);
  const classWeights = classWeightsOf(task.config.training, data.labels, data.train.labels);
  if (classWeights !== undefined) ui.info(`class weights: ${describeWeights(data.labels, classWeights)}`);
  return { data, classWeights };
}

const loadTaskOf = ({ task, set, data, model }: FinetuneOptions): ResolvedTask =>
  loadTask({ task, overrides: set, dataDir: data, model });

/** So that the run's task.yaml says which weights it began with, whatever becomes of a branch of the hub. */
function withSource(task: ResolvedTask, source: string | undefined): ResolvedTask {
  return source === undefined ? task : { ...task, model: { kind: 'pretrained', source } };
}

/** A run is continued with its own task; what the command line says of it besides must be the same. */
function taskOfRun(options: FinetuneOptions): ResolvedTask {
  const folder = options.output!;
  refuseMissingRun(folder);
  if (!options.dryRun) refuseLockedRun(folder);
  const file = join(folder, 'task.yaml');
  const task = loadTask({ task: file, overrides: [], env: {} });
  const changed = changedKeys(portableTask(task), portableTask(asPinned(loadTaskOf(options), task)));
  if (changed.length === 0) return task;
  throw new UserError(
    'usage',
    `--resume: the command line and ${file} differ in ${changed.join(', ')}`,
    'A run is continued with its own settings: leave out --task, --data, --model and --set, or start a new run.',
  );
}

/** The task with the source of the run's own, where that is what it has been pinned as. */
function asPinned(task: ResolvedTask, { model: own }: ResolvedTask): ResolvedTask {
  if (task.model.kind !== 'pretrained' || own.kind !== 'pretrained') return task;
  return mayBePinnedAs(task.model.source, own.source) ? withSource(task, own.source) : task;
}

/** The keys, with dots between, that two tasks do not have in common or not with the same value. */
function changedKeys(before: unknown, after: unknown, key = ''): string[] {
  if (!isMapping(before) || !isMapping(after)) return JSON.stringify(before) === JSON.stringify(after) ? [] : [key];
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names.flatMap((name) => changedKeys(before[name], after[name], key === '' ? name : `${key}.${name}`));
}

const describeWeights = (labels: readonly string[], weights: readonly number[]): string =>
  labels.map((label, id) => `${label} ${Number(weights[id]!.toPrecision(4))}`).join(', ');

function describeLoad(plan: LoadPlan | undefined): string {
  if (plan === undefined) return 'weights: random (model.config)';
  const fresh = plan.fresh.length === 0 ? '' : `; freshly initialized: ${plan.fresh.join(', ')}`;
  const unused = plan.unused.length === 0 ? '' : `; unused in the file: ${plan.unused.join(', ')}`;
  return `weights: ${plural(plan.loaded.length, 'tensor')} loaded${fresh}${unused}`;
}

function describeFrozen({ frozen }: Techniques, { variables }: Network, ui: Reporter): void {
  if (frozen.size > 0) ui.info(`frozen: ${formatCount(frozen.size)} of ${plural(variables.length, 'tensor')}`);
}

function totalSteps({ task, data }: Prepared): { epochEnds: readonly number[]; total: number } {
  const { training } = task.config;
  const epochEnds = epochEndsOf(data.train, training);
  return { epochEnds, total: Math.min(training.max_steps ?? Infinity, epochEnds.at(-1)!) };
}

/** By tokens not all epochs have the same. */
function stepsAnEpoch(epochEnds: readonly number[]): string {
  const steps = epochEnds.map((end, epoch) => end - (epochEnds[epoch - 1] ?? 0));
  const [least, most] = [Math.min(...steps), Math.max(...steps)];
  return `${formatCount(least)}${most > least ? ` to ${formatCount(most)}` : ''} an epoch`;
}

function dryRun(prepared: Prepared, seeds: readonly number[] | undefined, ui: Reporter): number {
  const { task, folder, model, data } = prepared;
  const network = networkOf(prepared);
  const plan = model.planLoad(network.variables, data.labels);
  ui.info(describeLoad(plan));
  describeFrozen(techniquesOf(prepared, network), network, ui);
  const { epochEnds, total } = totalSteps(prepared);
  const parameters = network.variables
    .map(({ shape }) => shape.reduce((product, size) => product * size, 1))
    .reduce((sum, count) => sum + count, 0);
  ui.json({
    task: task.name,
    output: folder,
    seeds,
    labels: data.labels,
    examples: { train: data.train.size, dev: data.dev?.size ?? 0, test: data.test?.size ?? 0 },
    parameters,
    steps_per_epoch: epochEnds[0],
    total_steps: total,
    freshly_initialized: plan?.fresh ?? 'all',
  });
  ui.result(
    `dry run: all is well. ${formatCount(parameters)} parameters, ${formatCount(total)} steps ` +
      `(${stepsAnEpoch(epochEnds)})${seeds === undefined ? '' : ` with each of ${seeds.length} seeds`}; ` +
      `the run would be written to ${folder}`,
  );
  return exitCodes.ok;
}

/** Trains and measures. Resolves to the exit code where a signal ended it early. @param publish as of `finishRun` */
async function train(
  prepared: Prepared,
  resume: boolean,
  ui: Reporter,
  publish: (finished: FinishedRun) => void,
): Promise<RunMetrics | number> {
  const { folder } = prepared;
  if (!resume) return trainFrom(prepared, undefined, ui, publish);
  const release = lockRun(folder);
  try {
    tidyRun(folder);
    const checkpoint = newestCheckpoint(folder, (skipped, problem) => {
      ui.warn(`${skipped} is damaged and is skipped: ${problem}`);
    });
    return await trainFrom(prepared, { checkpoint }, ui, publish);
  } finally {
    release();
  }
}

/** @param former what there is of a run that is continued; undefined: a new one is made */
async function trainFrom(
  prepared: Prepared,
  former: { readonly checkpoint: ReturnType<typeof newestCheckpoint> } | undefined,
  ui: Reporter,
  publish: (finished: FinishedRun) => void,
): Promise<RunMetrics | number> {
  const { task, folder, data, model } = prepared;
  const network = networkOf(prepared);
  const techniques = techniquesOf(prepared, network);
  describeFrozen(techniques, network, ui);
  const resumed = former?.checkpoint;
  const plan = model.planLoad(network.variables, data.labels);
  const trainer = phase(ui, 'loading the weights', () => {
    const started = startTrainer(prepared, network, techniques, plan);
    if (resumed === undefined) return [started, describeLoad(plan)];
    started.restore(resumed.folder);
    return [started, `weights: ${resumed.folder}`];
  });
  try {
    const created = former === undefined ? createRun(folder, taskYaml(task)) : undefined;
    const run = createRunPlan(prepared, network, trainer, resumed?.state ?? firstState);
    try {
      checkDiskSpace(
        folder,
        { checkpoint: trainer.checkpointBytes, model: bytesOf(network.variables) },
        run.settings,
        freeBytes(folder),
      );
      describeRun(run, ui);
      truncateLog(folder, run.start);
      const outcome = await executeRun(run, ui);
      if (outcome.interrupted === undefined) return await finishRun({ prepared, network, run, outcome }, ui, publish);
      if (outcome.failure !== undefined) throw outcome.failure;
      return describeInterrupted(prepared, run, outcome, outcome.interrupted, ui);
    } catch (error) {
      // Nothing that could be continued or used: the same command must not be refused because of it.
      if (checkpointSteps(folder).length === 0 && !hasModelCard(join(folder, 'model'))) created?.discard();
      throw error;
    } finally {
      created?.release();
    }
  } finally {
    trainer.dispose();
  }
}

const firstState: CheckpointState = {
  ...beginning,
  seconds: 0,
  examples: 0,
  skipped: { steps: 0, inARow: 0 },
  sinceLog: { steps: 0, loss: 0 },
};

function describeRun(run: Run, ui: Reporter): void {
  const { folder, start, schedule, epochEnds } = run;
  const total = plural(schedule.totalSteps, 'step');
  if (start.step === 0) ui.info(`run: ${folder} (${total}, ${stepsAnEpoch(epochEnds)})`);
  else if (isOver(start, limitsOf(run))) {
    ui.info(`run: ${folder}, trained to its end already (${plural(start.step, 'step')}): measured once more`);
  } else ui.info(`run: ${folder}, continued from step ${start.step} of ${total}`);
}

/** Says how to go on with a run that a signal ended; returns the exit code. */
function describeInterrupted(
  { output }: Prepared,
  run: Run,
  { state }: RunOutcome,
  code: number,
  ui: Reporter,
): number {
  const command = commandLine('finetune', '--output', output, '--resume');
  ui.info(`saved after step ${state.step} of ${run.schedule.totalSteps}. Continue with: ${command}`);
  return code;
}

function networkOf({ task, data, model, classWeights }: Prepared): Network {
  const plain = withMethods(task.config.task, (methods) => methods.network(model.config, data));
  return withLoss(plain, task.config.training, classWeights);
}

/** What the task file asks for besides the plain step. */
function techniquesOf({ task }: Prepared, { variables }: Network): Techniques {
  const settings = task.config.training;
  return {
    emaDecay: settings.ema_decay,
    adversary: adversaryOf(settings),
    virtualAdversary: virtualAdversaryOf(settings),
    gradientPenalty: settings.gradient_penalty,
    rDrop: settings.r_drop,
    gradientAccumulation: settings.gradient_accumulation,
    recompute: settings.recompute,
    frozen: frozenVariables(variables, settings),
    rateFactors: rateFactorsOf(variables, settings),
  };
}

function startTrainer(
  { task, precision, classWeights }: Prepared,
  network: Network,
  techniques: Techniques,
  plan: LoadPlan | undefined,
): Trainer {
  const settings = task.config.training;
  const optimizer = optimizerOf(settings);
  const program = trainingProgram({
    network,
    precision,
    optimizer,
    maxGradNorm: settings.max_grad_norm,
    techniques,
    ...(plan === undefined ? {} : { fresh: plan.fresh }),
  });
  const lossCount = lossCountOf(network, classWeights);
  const trainer = openTrainer(program, { optimizer, seed: settings.seed, techniques, lossCount });
  trainer.initialize(settings.seed);
  trainer.load(plan?.loaded.map(({ spec, read }) => ({ ...spec, read })) ?? []);
  return trainer;
}

function createRunPlan(prepared: Prepared, network: Network, trainer: Trainer, start: CheckpointState): Run {
  const { task, folder, data, device, precision, model, tokenizer } = prepared;
  const { epochEnds, total } = totalSteps(prepared);
  const settings = task.config.training;
  const modelFolder = join(folder, 'model');
  return {
    folder,
    settings,
    train: data.train,
    trainPath: task.data.train.path,
    activationBytes: (size, length) => activationBytes(model.config, size, length),
    freeMemory: () => (device.kind === 'gpu' ? undefined : process.availableMemory()),
    measurePeak: () => measurePeak(device.kind, precision),
    dev: data.dev,
    padTokenId: tokenizer.padTokenId,
    trainer,
    schedule: { totalSteps: total, warmupSteps: warmupSteps(total, settings), decay: decayOf(settings) },
    epochEnds,
    start,
    saveModel(dev, values) {
      mkdirSync(modelFolder, { recursive: true });
      // The weights first: where the disk is too full for them, what is there goes on to be one model.
      writeModelWeights(modelFolder, model.config, network.variables, values);
      writeModelHead(modelFolder, model.config, cardOf(prepared, dev), tokenizer.files);
    },
    copyWeights(values) {
      const copies = new Map(network.variables.map(({ name }) => [name, values(name)]));
      return (name) => copies.get(name)!;
    },
  };
}

const cardOf = ({ task, data, precision }: Prepared, dev: Evaluation | undefined): ModelCard => ({
  version: 1,
  task: task.config.task,
  labels: [...data.labels],
  maxLength: task.config.model.max_length,
  precision,
  format: task.config.data.format,
  columns: task.config.data.columns,
  labelSeparator: task.config.data.label_separator,
  threshold: dev?.threshold,
  words: data.words,
  field: data.field,
});
