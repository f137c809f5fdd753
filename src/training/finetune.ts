import { join } from 'node:path';
import type { LoadPlan } from '../checkpoints/huggingface.js';
import { writeJson, writeModelHead, writeModelWeights, type ModelCard } from '../checkpoints/model-folder.js';
import { commandLine } from '../commands/command-line.js';
import type { FinetuneOptions } from '../commands/options.js';
import type { EncodedDataset } from '../data/encode.js';
import { exitCodes, UserError } from '../errors.js';
import { nodeBackend } from '../graph/index.js';
import { classificationReport, confusionTable } from '../metrics/report.js';
import { classifierVariables } from '../models/classifier.js';
import { packageVersion } from '../package-root.js';
import { loadTask, taskYaml, type ResolvedTask } from '../task/load.js';
import { loadTokenizer } from '../tokenization/load.js';
import type { Tokenizer } from '../tokenization/tokenizer.js';
import { formatBytes, formatCount, formatDuration, plural } from '../ui/format.js';
import type { Reporter } from '../ui/reporter.js';
import { checkpointFolder, newestCheckpoint } from './checkpoints.js';
import { deviceInUse, resolvePrecision, type Device } from './device.js';
import { evaluateDataset, type BatchSettings, type Evaluation } from './evaluate.js';
import type { LoopState } from './loop.js';
import { checkFit, openStartingModel, type StartingModel } from './model-source.js';
import type { AdamWSettings } from './optimizer.js';
import { encodeTask, readTask, type PreparedData } from './prepare.js';
import { trainingProgram } from './program.js';
import { createRun, defaultRunFolder, refuseExistingRun, truncateLog } from './run-folder.js';
import { devSummary, executeRun, type Run, type RunOutcome } from './run.js';
import { warmupSteps } from './schedule.js';
import { openTrainer, type Trainer } from './trainer.js';

/** Lengths are padded to a multiple of this: few distinct shapes, for each of which TensorFlow prepares its kernels. */
const lengthMultiple = 8;

interface Prepared {
  readonly task: ResolvedTask;
  readonly folder: string;
  readonly device: Device;
  readonly precision: 'fp32' | 'bf16';
  readonly model: StartingModel;
  readonly tokenizer: Tokenizer;
  readonly data: PreparedData;
}

/** Fine-tunes as the options say. Resolves to the exit code. */
export async function runFinetune(options: FinetuneOptions, ui: Reporter): Promise<number> {
  if (options.resume && options.set.length > 0) {
    throw new UserError('usage', '--set cannot be used with --resume: a run is continued with its own settings');
  }
  const prepared = prepare(options, ui);
  try {
    if (options.dryRun) return dryRun(prepared, ui);
    return await train(prepared, options, ui);
  } finally {
    prepared.model.close();
  }
}

function prepare(options: FinetuneOptions, ui: Reporter): Prepared {
  const resumed = options.resume && options.output !== undefined ? join(options.output, 'task.yaml') : undefined;
  const task = loadTask({
    task: resumed ?? options.task,
    overrides: options.set,
    ...(resumed === undefined ? { dataDir: options.data, model: options.model } : {}),
  });
  const folder = options.output ?? defaultRunFolder(task.name, new Date());
  if (!options.resume) refuseExistingRun(folder);
  const device = deviceInUse(options.device, nodeBackend.isUsingGpuDevice);
  const precision = resolvePrecision(task.config.training.precision, device);
  ui.info(`device: ${device.description}, ${precision}`);
  const model = openStartingModel(task);
  try {
    const tokenizer = loadTokenizer(model.tokenizerFolder);
    checkFit(model.config, tokenizer, task.config.model.max_length);
    const data = readAndEncode(task, tokenizer, ui);
    return { task, folder, device, precision, model, tokenizer, data };
  } catch (error) {
    model.close();
    throw error;
  }
}

function readAndEncode(task: ResolvedTask, tokenizer: Tokenizer, ui: Reporter): PreparedData {
  const examples = readTask(task);
  const maxLength = task.config.model.max_length;
  const data = encodeTask(examples, tokenizer, maxLength);
  const sizes = (['train', 'dev', 'test'] as const).flatMap((split) => {
    const size = data[split]?.size;
    return size === undefined ? [] : [`${split} ${formatCount(size)}`];
  });
  ui.info(`data: ${sizes.join(', ')}; labels ${data.labels.join(', ')}`);
  if (data.train.truncatedCount > 0) {
    ui.info(`${plural(data.train.truncatedCount, 'training example')} cut to ${maxLength} tokens`);
  }
  if (data.dev === undefined) {
    ui.warn('no dev file and data.dev_fraction is 0: the last weights are kept, without a check of how good they are');
  }
  return data;
}

function describeLoad(plan: LoadPlan | undefined, ui: Reporter): void {
  if (plan === undefined) {
    ui.info('weights: random (model.config)');
    return;
  }
  const fresh = plan.fresh.length === 0 ? '' : `; freshly initialized: ${plan.fresh.join(', ')}`;
  const unused = plan.unused.length === 0 ? '' : `; unused in the file: ${plan.unused.join(', ')}`;
  ui.info(`weights: ${plural(plan.loaded.length, 'tensor')} loaded${fresh}${unused}`);
}

function totalSteps({ task, data }: Prepared): { stepsPerEpoch: number; total: number } {
  const { batch_size: batchSize, epochs, max_steps: maxSteps } = task.config.training;
  const stepsPerEpoch = Math.ceil(data.train.size / batchSize);
  return { stepsPerEpoch, total: Math.min(maxSteps ?? Infinity, stepsPerEpoch * epochs) };
}

function dryRun(prepared: Prepared, ui: Reporter): number {
  const { task, folder, model, data } = prepared;
  const plan = model.planLoad(data.labels);
  describeLoad(plan, ui);
  const { stepsPerEpoch, total } = totalSteps(prepared);
  const parameters = classifierVariables(model.config, data.labels.length)
    .map(({ shape }) => shape.reduce((product, size) => product * size, 1))
    .reduce((sum, count) => sum + count, 0);
  ui.json({
    task: task.name,
    output: folder,
    labels: data.labels,
    examples: { train: data.train.size, dev: data.dev?.size ?? 0, test: data.test?.size ?? 0 },
    parameters,
    steps_per_epoch: stepsPerEpoch,
    total_steps: total,
    freshly_initialized: plan?.fresh ?? 'all',
  });
  ui.result(
    `dry run: all is well. ${formatCount(parameters)} parameters, ${formatCount(total)} steps ` +
      `(${formatCount(stepsPerEpoch)} an epoch); the run would be written to ${folder}`,
  );
  return exitCodes.ok;
}

async function train(prepared: Prepared, options: FinetuneOptions, ui: Reporter): Promise<number> {
  const { task, folder, data, model } = prepared;
  const resumed = options.resume ? newestCheckpoint(folder) : undefined;
  const plan = model.planLoad(data.labels);
  describeLoad(plan, ui);
  const { stepsPerEpoch, total } = totalSteps(prepared);
  const trainer = startTrainer(prepared, plan);
  try {
    if (resumed === undefined) {
      createRun(folder, taskYaml(task));
      ui.info(`run: ${folder} (${plural(total, 'step')}, ${formatCount(stepsPerEpoch)} an epoch)`);
    } else {
      trainer.restore(resumed.folder);
      truncateLog(folder, resumed.state.step);
      ui.info(`run: ${folder}, continued from step ${resumed.state.step} of ${total}`);
    }
    const run = createRunPlan(prepared, trainer, resumed?.state ?? { step: 0, best: undefined });
    const outcome = await executeRun(run, ui);
    if (outcome.interrupted !== undefined) {
      ui.info(`saved. Continue with: ${commandLine('finetune', '--output', folder, '--resume')}`);
      return outcome.interrupted;
    }
    return finish(prepared, run, outcome, ui);
  } finally {
    trainer.dispose();
  }
}

function startTrainer({ task, data, model, precision }: Prepared, plan: LoadPlan | undefined): Trainer {
  const settings = task.config.training;
  const optimizer: AdamWSettings = {
    beta1: settings.adam_beta1,
    beta2: settings.adam_beta2,
    epsilon: settings.adam_epsilon,
    weightDecay: settings.weight_decay,
  };
  const program = trainingProgram({
    config: model.config,
    numLabels: data.labels.length,
    precision,
    optimizer,
    maxGradNorm: settings.max_grad_norm,
    ...(plan === undefined ? {} : { fresh: plan.fresh }),
  });
  const trainer = openTrainer(program, optimizer, settings.seed);
  trainer.initialize(settings.seed);
  for (const { spec, read } of plan?.loaded ?? []) trainer.assign(spec.name, spec.shape, read());
  return trainer;
}

function createRunPlan(prepared: Prepared, trainer: Trainer, start: LoopState): Run {
  const { task, folder, data, model, tokenizer } = prepared;
  const { stepsPerEpoch, total } = totalSteps(prepared);
  const settings = task.config.training;
  const batching: BatchSettings = {
    batchSize: Math.max(settings.batch_size, 32),
    padTokenId: tokenizer.padTokenId,
    multipleOf: lengthMultiple,
  };
  const specs = classifierVariables(model.config, data.labels.length);
  const modelFolder = join(folder, 'model');
  return {
    folder,
    settings,
    train: data.train,
    dev: data.dev,
    numLabels: data.labels.length,
    trainer,
    batching,
    schedule: { totalSteps: total, warmupSteps: warmupSteps(total, settings) },
    stepsPerEpoch,
    start,
    saveModel() {
      writeModelHead(modelFolder, model.config, cardOf(prepared), tokenizer.files);
      writeModelWeights(modelFolder, model.config, specs, trainer.fetch.bind(trainer));
    },
  };
}

const cardOf = ({ task, data, precision }: Prepared): ModelCard => ({
  version: 1,
  task: task.config.task,
  labels: [...data.labels],
  maxLength: task.config.model.max_length,
  precision,
  format: task.config.data.format,
  columns: task.config.data.columns,
});

function finish(prepared: Prepared, run: Run, outcome: RunOutcome, ui: Reporter): number {
  const { folder, data } = prepared;
  restoreBest(run, outcome);
  // A resumed run does not remember what it measured before; the best weights are at hand.
  const bestDev = outcome.bestDev ?? (data.dev === undefined ? undefined : evaluate(run, data.dev, 'evaluating', ui));
  const test = data.test === undefined ? undefined : evaluate(run, data.test, 'testing', ui);
  const metrics = {
    best: outcome.best === undefined ? undefined : bestSummary(run, outcome.best, bestDev),
    test: test === undefined ? undefined : { ...devSummary(test), majority_accuracy: test.metrics.majorityAccuracy },
    train: {
      seconds: outcome.seconds,
      steps: outcome.steps,
      examples_per_second: outcome.examples / outcome.seconds,
      peak_rss_bytes: process.resourceUsage().maxRSS * 1024,
    },
    versions: { t4: packageVersion(), node: process.versions.node, tensorflow: nodeBackend.binding.TF_Version },
    device: prepared.device,
    precision: prepared.precision,
  };
  writeJson(join(folder, 'metrics.json'), metrics);
  ui.json({ run: folder, ...metrics });
  const rate = `${(outcome.examples / outcome.seconds).toFixed(1)} examples a second`;
  ui.info(
    `trained ${plural(outcome.steps, 'step')} in ${formatDuration(outcome.seconds)} (${rate}), ` +
      `peak memory ${formatBytes(metrics.train.peak_rss_bytes)}`,
  );
  if (test !== undefined) {
    ui.result(`${classificationReport(test.metrics, data.labels)}\n\n${confusionTable(test.metrics, data.labels)}\n`);
  }
  ui.result(`model: ${join(folder, 'model')}`);
  ui.result(`next: ${commandLine('test', '--checkpoint', folder, ...(test === undefined ? ['--data', 'FILE'] : []))}`);
  return exitCodes.ok;
}

function bestSummary(run: Run, best: { step: number }, dev: Evaluation | undefined): Record<string, unknown> {
  return {
    epoch: best.step / run.stepsPerEpoch,
    step: best.step,
    ...(dev === undefined ? {} : { dev: devSummary(dev) }),
  };
}

/** The best weights need not be the last ones. */
function restoreBest(run: Run, { best }: RunOutcome): void {
  if (best !== undefined && best.step !== run.schedule.totalSteps) {
    run.trainer.restoreWeights(checkpointFolder(run.folder, best.step));
  }
}

function evaluate(run: Run, dataset: EncodedDataset, label: string, ui: Reporter): Evaluation {
  const bar = ui.bar(dataset.size, label);
  try {
    return evaluateDataset(run.trainer.predict.bind(run.trainer), dataset, run.numLabels, run.batching, (done) => {
      bar.update(done);
    });
  } finally {
    bar.stop();
  }
}
