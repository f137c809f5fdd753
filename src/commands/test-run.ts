import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeJson } from '../checkpoints/json.js';
import { columnsHint, columnsOf, formatHint } from './input-columns.js';
import type { TestOptions } from './options.js';
import { labelAnswer } from './predict-labels.js';
import { encodeExamples } from '../data/encode.js';
import type { Example } from '../data/example.js';
import { guessFormat } from '../data/format.js';
import { readExamples } from '../data/read.js';
import { splitHeldOut } from '../data/split.js';
import { withHint } from '../data/unlabelled.js';
import { exitCodes, UserError } from '../errors.js';
import { nodeBackend } from '../graph/index.js';
import { classificationReport, confusionTable } from '../metrics/report.js';
import { loadTask, type ResolvedTask } from '../task/load.js';
import { formatDuration, plural } from '../ui/format.js';
import type { Reporter } from '../ui/reporter.js';
import { deviceInUse, resolvePrecision } from '../training/device.js';
import { evaluateWithBar, type Evaluation } from '../training/evaluate.js';
import {
  findModelFolder,
  isFolderSource,
  loadFinishedModel,
  openFinishedModel,
  type FinishedModel,
} from '../training/finished-model.js';
import { phase } from '../training/phase.js';
import { makeOutputFolder } from '../training/run-folder.js';

interface TestedData {
  /** The file, for messages. */
  readonly path: string;
  readonly examples: readonly Example[];
}

/** Tests a fine-tuned model as the options say. Resolves to the exit code. */
export async function runTest(options: TestOptions, ui: Reporter): Promise<number> {
  if (options.output === undefined && !isFolderSource(options.checkpoint)) {
    throw new UserError(
      'usage',
      `--output is missing: ${options.checkpoint} is no folder of yours`,
      'Say --output DIR.',
    );
  }
  const folder = await findModelFolder(options.checkpoint, ui);
  const finished = openFinishedModel(folder);
  try {
    if (finished.head === 'token') {
      throw new UserError(
        'usage',
        `${folder} labels tokens, and t4 test measures models that label texts or pairs of texts`,
        't4 predict shows the entities that it finds.',
      );
    }
    return await measure(finished, options, ui);
  } finally {
    finished.checkpoint.close();
  }
}

async function measure(finished: FinishedModel, options: TestOptions, ui: Reporter): Promise<number> {
  const { folder, labels, tokenizer, maxLength } = finished;
  const device = deviceInUse(options.device, nodeBackend.isUsingGpuDevice);
  const precision = resolvePrecision(options.precision ?? finished.precision, device);
  ui.info(`device: ${device.description}, ${precision}`);
  const { data, dataset } = phase(ui, 'reading the data', () => {
    const read = readTestData(options, finished);
    const encoded = encodeExamples(read.examples, tokenizer, maxLength);
    return [{ data: read, dataset: encoded }, `data: ${read.path}, ${plural(encoded.size, 'example')}`];
  });
  const model = phase(ui, 'loading the weights', () => [loadFinishedModel(finished, precision), `weights: ${folder}`]);
  try {
    const began = performance.now();
    const settings = { numLabels: labels.length, padTokenId: tokenizer.padTokenId };
    const bar = ui.bar(dataset.size, 'testing');
    const evaluation = await evaluateWithBar(model.predict.bind(model), dataset, settings, bar);
    report(options, labels, data, evaluation, (performance.now() - began) / 1000, ui);
  } finally {
    model.dispose();
  }
  return exitCodes.ok;
}

function readTestData(options: TestOptions, { card, labels }: FinishedModel): TestedData {
  const { data: path } = options;
  if (path !== undefined) {
    const format = options.format ?? card?.format ?? withHint(formatHint, () => guessFormat(path));
    const columns = columnsOf(options, card, format);
    const read = () => readExamples(path, { format, columns, labels, requireLabels: true });
    return { path, examples: withHint(columnsHint, read).examples };
  }
  const { format, textColumn, pairColumn, labelColumn } = options;
  if ([format, textColumn, pairColumn, labelColumn].some((flag) => flag !== undefined)) {
    throw new UserError('usage', '--format and the flags for columns go with --data FILE');
  }
  const taskFile = join(options.checkpoint, 'task.yaml');
  if (!existsSync(taskFile)) {
    throw new UserError(
      'usage',
      `${options.checkpoint} has no task.yaml to take data from`,
      'Name a file: --data FILE',
    );
  }
  const task = loadTask({ task: taskFile, overrides: [] });
  return readSplit(task, options.split, labels);
}

function readSplit(task: ResolvedTask, split: TestOptions['split'], labels: readonly string[]): TestedData {
  const { data, training } = task.config;
  const heldOut = split !== 'test' && task.data.dev === undefined && data.dev_fraction > 0;
  const file = heldOut ? task.data.train : task.data[split];
  if (file === undefined) {
    throw new UserError('usage', `the task has no ${split} file`, 'Name a file: --data FILE, or another --split');
  }
  const format = data.format ?? guessFormat(file.path);
  const { examples } = readExamples(file.path, { format, columns: data.columns, labels, requireLabels: true });
  if (!heldOut) return { path: file.path, examples };
  const parts = splitHeldOut(examples, data.dev_fraction, training.seed);
  return { path: `${file.path} (the share of ${split})`, examples: parts[split === 'dev' ? 'dev' : 'train'] };
}

function report(
  options: TestOptions,
  labels: readonly string[],
  data: TestedData,
  evaluation: Evaluation,
  seconds: number,
  ui: Reporter,
): void {
  const { metrics, loss } = evaluation;
  const rate = data.examples.length / seconds;
  const result = {
    data: data.path,
    examples: data.examples.length,
    loss,
    accuracy: metrics.accuracy,
    macro: metrics.macro,
    weighted: metrics.weighted,
    majority_class: labels[metrics.majorityClass],
    majority_accuracy: metrics.majorityAccuracy,
    classes: Object.fromEntries(metrics.classes.map((scores, id) => [labels[id]!, scores])),
    labels,
    confusion: metrics.confusion,
    seconds,
    examples_per_second: rate,
  };
  // Printed first: what was measured is not lost where it cannot be written.
  ui.json(result);
  ui.result(classificationReport(metrics, labels));
  ui.result(`\n${confusionTable(metrics, labels)}\n`);
  ui.result(
    `accuracy ${metrics.accuracy.toFixed(4)} on ${plural(data.examples.length, 'example')} in ` +
      `${formatDuration(seconds)}: ${rate.toFixed(1)} sentences a second`,
  );
  const folder = options.output ?? options.checkpoint;
  makeOutputFolder(folder);
  writeJson(join(folder, 'test.json'), result);
  writePredictions(join(folder, 'predictions.jsonl'), labels, data, evaluation);
  ui.info(`written: ${join(folder, 'test.json')}, ${join(folder, 'predictions.jsonl')}`);
}

function writePredictions(path: string, labels: readonly string[], data: TestedData, evaluation: Evaluation): void {
  const lines = data.examples.map((example, i) =>
    JSON.stringify({
      line: example.line,
      text: example.text,
      ...(example.pair === undefined ? {} : { pair: example.pair }),
      gold: example.label === undefined ? undefined : labels[example.label],
      ...labelAnswer(evaluation, i, labels),
    }),
  );
  writeFileSync(`${path}.partial`, lines.map((line) => `${line}\n`).join(''));
  renameSync(`${path}.partial`, path);
}
