import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { planLoad } from '../checkpoints/checkpoint.js';
import { openHuggingFace } from '../checkpoints/huggingface.js';
import { writeJson } from '../checkpoints/json.js';
import { readModelCard, type ModelCard } from '../checkpoints/model-folder.js';
import type { TestOptions } from './options.js';
import { encodeExamples } from '../data/encode.js';
import type { Example } from '../data/example.js';
import { guessFormat } from '../data/format.js';
import { readExamples } from '../data/read.js';
import { splitHeldOut } from '../data/split.js';
import { exitCodes, UserError } from '../errors.js';
import { nodeBackend } from '../graph/index.js';
import { classificationReport, confusionTable } from '../metrics/report.js';
import { sequenceClassifier } from '../models/network.js';
import { loadTask, type ResolvedTask } from '../task/load.js';
import { loadTokenizer } from '../tokenization/load.js';
import { formatDuration, plural } from '../ui/format.js';
import type { Reporter } from '../ui/reporter.js';
import { deviceInUse } from '../training/device.js';
import { evaluateWithBar, type Evaluation } from '../training/evaluate.js';
import { phase } from '../training/phase.js';
import { inferenceProgram } from '../training/program.js';
import { makeOutputFolder } from '../training/run-folder.js';
import { openModel, type Model } from '../training/trainer.js';

interface TestedData {
  /** The file, for messages. */
  readonly path: string;
  readonly examples: readonly Example[];
}

/** Tests a fine-tuned model as the options say. Resolves to the exit code. */
export async function runTest(options: TestOptions, ui: Reporter): Promise<number> {
  const folder = modelFolder(options.checkpoint);
  const card = readModelCard(folder);
  const device = deviceInUse(options.device, nodeBackend.isUsingGpuDevice);
  ui.info(`device: ${device.description}, ${card.precision}`);
  const tokenizer = loadTokenizer(folder);
  const { data, dataset } = phase(ui, 'reading the data', () => {
    const read = readTestData(options, card);
    const encoded = encodeExamples(read.examples, tokenizer, card.maxLength);
    return [{ data: read, dataset: encoded }, `data: ${read.path}, ${plural(encoded.size, 'example')}`];
  });
  const model = phase(ui, 'loading the weights', () => [loadModel(folder, card), `weights: ${folder}`]);
  try {
    const began = performance.now();
    const settings = { numLabels: card.labels.length, padTokenId: tokenizer.padTokenId };
    const bar = ui.bar(dataset.size, 'testing');
    const evaluation = await evaluateWithBar(model.predict.bind(model), dataset, settings, bar);
    report(options, card, data, evaluation, (performance.now() - began) / 1000, ui);
  } finally {
    model.dispose();
  }
  return exitCodes.ok;
}

/** A run keeps its model in model/; a model folder is one itself. */
function modelFolder(checkpoint: string): string {
  if (!existsSync(checkpoint)) throw new UserError('usage', `--checkpoint: ${checkpoint} does not exist`);
  if (existsSync(join(checkpoint, 'model', 't4.json'))) return join(checkpoint, 'model');
  if (existsSync(join(checkpoint, 'task.yaml'))) {
    throw new UserError(
      'files',
      `${checkpoint} is a run without a finished model`,
      `Continue it: t4 finetune --output ${checkpoint} --resume`,
    );
  }
  return checkpoint;
}

function readTestData(options: TestOptions, card: ModelCard): TestedData {
  const { columns, labels } = card;
  if (options.data !== undefined) {
    const format = card.format ?? guessFormat(options.data);
    const { examples } = readExamples(options.data, { format, columns, labels, requireLabels: true });
    return { path: options.data, examples };
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

function loadModel(folder: string, card: ModelCard): Model {
  const checkpoint = openHuggingFace(folder);
  try {
    const network = sequenceClassifier(checkpoint.config, card.labels.length);
    const plan = planLoad(checkpoint, network.variables, true);
    if (plan.fresh.length > 0) throw new UserError('files', `${folder} lacks the weights ${plan.fresh.join(', ')}`);
    const model = openModel(inferenceProgram(network, card.precision));
    for (const { spec, read } of plan.loaded) model.assign(spec.name, spec.shape, read());
    return model;
  } finally {
    checkpoint.close();
  }
}

function report(
  options: TestOptions,
  card: ModelCard,
  data: TestedData,
  evaluation: Evaluation,
  seconds: number,
  ui: Reporter,
): void {
  const { metrics, loss } = evaluation;
  const { labels } = card;
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
  writePredictions(join(folder, 'predictions.jsonl'), card, data, evaluation);
  ui.info(`written: ${join(folder, 'test.json')}, ${join(folder, 'predictions.jsonl')}`);
}

function writePredictions(path: string, { labels }: ModelCard, data: TestedData, evaluation: Evaluation): void {
  const lines = data.examples.map((example, i) => {
    const scores = evaluation.probabilities.subarray(i * labels.length, (i + 1) * labels.length);
    const predicted = evaluation.classes[i]!;
    return JSON.stringify({
      line: example.line,
      text: example.text,
      ...(example.pair === undefined ? {} : { pair: example.pair }),
      gold: example.label === undefined ? undefined : labels[example.label],
      label: labels[predicted],
      probability: scores[predicted],
      probabilities: Object.fromEntries(labels.map((label, id) => [label, scores[id]])),
    });
  });
  writeFileSync(`${path}.partial`, lines.map((line) => `${line}\n`).join(''));
  renameSync(`${path}.partial`, path);
}
