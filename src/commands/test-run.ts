import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeJson } from '../checkpoints/json.js';
import { exitCodes, UserError } from '../errors.js';
import { nodeBackend } from '../graph/index.js';
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
import { formatDuration, plural } from '../ui/format.js';
import type { Reporter } from '../ui/reporter.js';
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
  const data = phase(ui, 'reading the data', () => {
    const read = readTestData(options, finished);
    return [read, `data: ${read.path}, ${plural(read.set.size, read.unit)}`];
  });
  const model = phase(ui, 'loading the weights', () => [loadFinishedModel(finished, precision), `weights: ${folder}`]);
  try {
    const began = performance.now();
    const bar = ui.bar(data.set.dataset.size, 'testing');
    const evaluation = await evaluateWithBar(model.predict.bind(model), data.set, bar);
    report(options, data, evaluation, (performance.now() - began) / 1000, ui);
  } finally {
    model.dispose();
  }
  return exitCodes.ok;
}

function report(
  options: TestOptions,
  { path, set, unit }: TestData,
  evaluation: Evaluation,
  seconds: number,
  ui: Reporter,
): void {
  const rate = set.size / seconds;
  const result = {
    data: path,
    examples: set.size,
    ...evaluation.details,
    seconds,
    examples_per_second: rate,
  };
  // Printed first: what was measured is not lost where it cannot be written.
  ui.json(result);
  ui.result(`${evaluation.report}\n`);
  ui.result(
    `${evaluation.headline} on ${plural(set.size, unit)} in ` +
      `${formatDuration(seconds)}: ${rate.toFixed(1)} sentences a second`,
  );
  const folder = options.output ?? options.checkpoint;
  makeOutputFolder(folder);
  writeJson(join(folder, 'test.json'), result);
  writePredictions(join(folder, 'predictions.jsonl'), evaluation);
  ui.info(`written: ${join(folder, 'test.json')}, ${join(folder, 'predictions.jsonl')}`);
}

function writePredictions(path: string, evaluation: Evaluation): void {
  const lines = Array.from(evaluation.predictions(), (prediction) => `${JSON.stringify(prediction)}\n`);
  writeFileSync(`${path}.partial`, lines.join(''));
  renameSync(`${path}.partial`, path);
}
