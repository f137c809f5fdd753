import { readBlocks } from '../data/blocks.js';
import type { Example } from '../data/example.js';
import type { Problem } from '../data/problems.js';
import { createUnlabelledReader, throwLineProblems, type UnlabelledReader } from '../data/unlabelled.js';
import { exitCodes } from '../errors.js';
import { nodeBackend } from '../graph/index.js';
import { deviceInUse, resolvePrecision } from '../training/device.js';
import { findModelFolder, openFinishedModel } from '../training/finished-model.js';
import { watchInterrupts, type InterruptWatch } from '../training/interrupt.js';
import { phase } from '../training/phase.js';
import { formatDuration, plural } from '../ui/format.js';
import type { Bar, Reporter } from '../ui/reporter.js';
import { columnsHint } from './input-columns.js';
import type { PredictOptions } from './options.js';
import { openInput, type PredictInput } from './predict-input.js';
import { entityPredictor } from './predict-entities.js';
import { labelPredictor } from './predict-labels.js';
import { maskPredictor, maskTable } from './predict-masks.js';
import { documentOutput, fileOutput, linesOutput, type PredictOutput } from './predict-output.js';
import type { LoadedPredictor, Predictor } from './predictor.js';

/** Answers new texts as the options say. Resolves to the exit code. */
export async function runPredict(
  options: PredictOptions,
  ui: Reporter,
  stdout: NodeJS.WritableStream,
): Promise<number> {
  const device = deviceInUse(options.device, nodeBackend.isUsingGpuDevice);
  const folder = await findModelFolder(options.checkpoint, ui);
  const predictor = openPredictor(folder, options);
  try {
    const precision = resolvePrecision(options.precision ?? predictor.precision, device);
    ui.info(`device: ${device.description}, ${precision}`);
    const input = openInput(options, ui);
    const total = input.repeatable ? await checkInput(input, predictor, ui) : undefined;
    const loaded = phase(ui, 'loading the weights', () => [predictor.load(precision), `weights: ${folder}`]);
    try {
      return await answerAll({ options, input, predictor, loaded, total, ui, stdout });
    } finally {
      loaded.dispose();
    }
  } finally {
    predictor.close();
  }
}

function openPredictor(folder: string, options: PredictOptions): Predictor {
  if (options.task === 'fill-mask') return maskPredictor(folder, options);
  const model = openFinishedModel(folder);
  try {
    return model.head === 'sequence' ? labelPredictor(model, options) : entityPredictor(model, options);
  } catch (error) {
    model.checkpoint.close();
    throw error;
  }
}

const readerOf = ({ name }: PredictInput, { layout }: Predictor): UnlabelledReader =>
  createUnlabelledReader(name, layout, columnsHint);

/** Reads a file to its end, so that all that is wrong with it is said at once and before the work. Its examples. */
async function checkInput(input: PredictInput, predictor: Predictor, ui: Reporter): Promise<number> {
  const problems: Problem[] = [];
  const reader = readerOf(input, predictor);
  let count = 0;
  for await (const block of readBlocks(input.open(), input.name, isQuoted(predictor))) {
    count += readBlock(reader, block, predictor, problems).length;
  }
  throwLineProblems(input.name, problems);
  reader.end();
  ui.info(`input: ${input.name}, ${plural(count, 'text')}`);
  return count;
}

const isQuoted = ({ layout }: Predictor): boolean => layout.format === 'csv';

function readBlock(
  reader: UnlabelledReader,
  block: Parameters<UnlabelledReader['read']>[0],
  predictor: Predictor,
  problems: Problem[],
): Example[] {
  const examples = reader.read(block, problems);
  for (const example of examples) {
    const message = predictor.problemOf(example);
    if (message !== undefined) problems.push({ line: example.line, message });
  }
  return examples;
}

interface Job {
  readonly options: PredictOptions;
  readonly input: PredictInput;
  readonly predictor: Predictor;
  readonly loaded: LoadedPredictor;
  /** undefined: nobody knows how much comes */
  readonly total: number | undefined;
  readonly ui: Reporter;
  readonly stdout: NodeJS.WritableStream;
}

/** Examples that are computed, and written, together: enough to put texts of like length into one batch. */
const chunkSize = 256;

async function answerAll(job: Job): Promise<number> {
  const { options, input, predictor, ui } = job;
  const began = performance.now();
  const output = outputOf(job);
  const bar = job.total === undefined ? undefined : ui.bar(job.total, 'predicting');
  const stream = input.open();
  const interrupts = watchInterrupts(
    (signal) => {
      ui.info(`${signal}: ending after this batch; once more to quit at once`);
      // Ends the wait for input, too.
      stream.destroy();
    },
    () => {
      output.discard();
      bar?.stop();
    },
  );
  try {
    const done = await answerStream(job, readBlocks(stream, input.name, isQuoted(predictor)), output, interrupts, bar);
    if (interrupts.exitCode !== undefined) return interrupts.exitCode;
    bar?.stop();
    const seconds = (performance.now() - began) / 1000;
    const summary = { ...predictor.summary, examples: done, seconds };
    await output.finish(summary);
    if (options.output !== '-') ui.json({ output: options.output, ...summary });
    report(job, done, seconds);
    return exitCodes.ok;
  } catch (error) {
    if (interrupts.exitCode === undefined) throw error;
    return interrupts.exitCode;
  } finally {
    output.discard();
    bar?.stop();
    interrupts.stop();
    stream.destroy();
  }
}

/** Resolves to how many were answered. */
async function answerStream(
  { input, predictor, loaded }: Job,
  blocks: ReturnType<typeof readBlocks>,
  output: PredictOutput,
  interrupts: InterruptWatch,
  bar: Bar | undefined,
): Promise<number> {
  const reader = readerOf(input, predictor);
  let done = 0;
  for await (const block of blocks) {
    const problems: Problem[] = [];
    const examples = readBlock(reader, block, predictor, problems);
    throwLineProblems(input.name, problems);
    for (let start = 0; start < examples.length; start += chunkSize) {
      const answers = await loaded.answer(examples.slice(start, start + chunkSize), async (count) => {
        bar?.update(done + count);
        await interrupts.poll();
        return interrupts.exitCode === undefined;
      });
      if (answers === undefined) return done;
      await output.write(answers);
      done += answers.length;
    }
  }
  reader.end();
  return done;
}

/** A table where somebody looks at it, else JSON. */
function outputOf({ options, stdout }: Job): PredictOutput {
  if (options.output !== '-') return fileOutput(options.output);
  if (options.json) return documentOutput(stdout);
  const watched = 'isTTY' in stdout && stdout.isTTY === true;
  return options.task === 'fill-mask' && watched ? linesOutput(stdout, maskTable) : linesOutput(stdout);
}

function report({ options, loaded, ui }: Job, done: number, seconds: number): void {
  if (loaded.truncated > 0) ui.warn(`${plural(loaded.truncated, 'text')} longer than the model takes: cut`);
  const rate = (done / seconds).toFixed(1);
  ui.info(`${plural(done, 'text')} in ${formatDuration(seconds)}: ${rate} a second`);
  if (options.output !== '-') ui.info(`written: ${options.output}`);
}
