import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeJson } from '../checkpoints/json.js';
import { assembleBatch } from '../data/batches.js';
import type { EncodedDataset } from '../data/encode.js';
import { exitCodes, UserError } from '../errors.js';
import { nodeBackend } from '../graph/index.js';
import { latencyOf, type Latency } from '../metrics/latency.js';
import { comparisonReport } from '../metrics/report.js';
import { deviceInUse, resolvePrecision } from '../training/device.js';
import { evaluateWithBar, lengthMultiple, type Evaluation } from '../training/evaluate.js';
import {
  findModelFolder,
  isFolderSource,
  loadFinishedModel,
  openFinishedModel,
  type FinishedModel,
} from '../training/finished-model.js';
import { phase } from '../training/phase.js';
import { makeOutputFolder } from '../training/run-folder.js';
import type { Model } from '../training/trainer.js';
import { formatDuration, plural } from '../ui/format.js';
import type { Reporter } from '../ui/reporter.js';
import {
  comparePredictions,
  comparisonJson,
  predictionsName,
  readOtherPredictions,
  readPredictions,
  type PredictionFile,
} from './compare.js';
import type { TestOptions } from './options.js';
import { readTestData, type TestData } from './test-data.js';

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
    return await measure(finished, options, ui);
  } finally {
    finished.checkpoint.close();
  }
}

async function measure(finished: FinishedModel, options: TestOptions, ui: Reporter): Promise<number> {
  const { folder } = finished;
  const device = deviceInUse(options.device, nodeBackend.isUsingGpuDevice);
  const precision = resolvePrecision(options.precision ?? finished.precision, device);
  ui.info(`device: ${device.description}, ${precision}`);
  const output = options.output ?? options.checkpoint;
  // Before the work: what is missing is said at once.
  const other = options.compare === undefined ? undefined : readOtherPredictions(options.compare, output);
  const data = phase(ui, 'reading the data', () => {
    const read = readTestData(options, finished);
    return [read, `data: ${read.path}, ${plural(read.set.size, read.unit)}`];
  });
  const model = phase(ui, 'loading the weights', () => [loadFinishedModel(finished, precision), `weights: ${folder}`]);
  try {
    const bar = ui.bar(data.set.dataset.size, 'testing');
    const began = performance.now();
    const evaluation = await evaluateWithBar(model.predict.bind(model), data.set, bar);
    const seconds = (performance.now() - began) / 1000;
    const latency = latencyOf(timesOfSingle(model, data.set.dataset, finished.tokenizer.padTokenId));
    report({ name: options.checkpoint, output, data, evaluation, seconds, latency, other }, ui);
  } finally {
    model.dispose();
  }
  return exitCodes.ok;
}

/** Examples that are run one by one, spread over the data: what a server that gets one at a time would need. */
const timedExamples = 100;

/** Milliseconds of the model for each of some examples by itself, after a few that are not counted. */
function timesOfSingle(model: Model, dataset: EncodedDataset, padTokenId: number): number[] {
  const count = Math.min(timedExamples, dataset.size);
  const indices = Array.from({ length: count }, (_, i) => Math.floor((i * dataset.size) / count));
  const timeOf = (index: number): number => {
    const batch = assembleBatch(dataset, Int32Array.of(index), { multipleOf: lengthMultiple, padTokenId });
    const began = performance.now();
    model.predict(batch);
    return performance.now() - began;
  };
  // TensorFlow prepares its kernels for each shape that it has not seen.
  indices.forEach(timeOf);
  return indices.map(timeOf);
}

interface Tested {
  /** What the user called the model. */
  readonly name: string;
  readonly output: string;
  readonly data: TestData;
  readonly evaluation: Evaluation;
  readonly seconds: number;
  /** Milliseconds an example. */
  readonly latency: Latency;
  readonly other: PredictionFile | undefined;
}

function report({ name, output, data, evaluation, seconds, latency, other }: Tested, ui: Reporter): void {
  const { path, set, unit } = data;
  const rate = set.size / seconds;
  const text =
    `${evaluation.headline} on ${plural(set.size, unit)} in ${formatDuration(seconds)}: ` +
    `${rate.toFixed(1)} sentences a second; one at a time, median ${latency.median.toFixed(1)} ms, ` +
    `95 % within ${latency.p95.toFixed(1)} ms`;
  // Printed first: what was measured is not lost where it cannot be written.
  ui.result(`${evaluation.report()}\n`);
  ui.result(text);
  const result = {
    data: path,
    examples: set.size,
    ...evaluation.details(),
    seconds,
    examples_per_second: rate,
    latency_ms: latency,
  };
  try {
    makeOutputFolder(output);
    writePredictions(join(output, predictionsName), evaluation);
  } catch (error) {
    ui.json(result);
    throw error;
  }
  const comparison =
    other === undefined ? undefined : comparePredictions(readPredictions(name, join(output, predictionsName)), other);
  const whole =
    other === undefined || comparison === undefined
      ? result
      : { ...result, comparison: comparisonJson(comparison, other.name) };
  ui.json(whole);
  if (other !== undefined && comparison !== undefined)
    ui.result(`\n${comparisonReport(comparison, [name, other.name])}`);
  writeJson(join(output, 'test.json'), whole);
  ui.info(`written: ${join(output, 'test.json')}, ${join(output, predictionsName)}`);
}

function writePredictions(path: string, evaluation: Evaluation): void {
  const lines = Array.from(evaluation.predictions(), (prediction) => `${JSON.stringify(prediction)}\n`);
  writeFileSync(`${path}.partial`, lines.join(''));
  renameSync(`${path}.partial`, path);
}
