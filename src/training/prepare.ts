import { encodeExamples, type EncodedDataset } from '../data/encode.js';
import type { Example } from '../data/example.js';
import { guessFormat, type DataFormat } from '../data/format.js';
import { checkLabels } from '../data/labels.js';
import { readExamples, type ExampleFile } from '../data/read.js';
import { splitHeldOut } from '../data/split.js';
import type { ResolvedPath, ResolvedTask } from '../task/load.js';
import type { Tokenizer } from '../tokenization/tokenizer.js';

/** A task's data as token ids. */
export interface PreparedData {
  readonly labels: readonly string[];
  readonly train: EncodedDataset;
  readonly dev: EncodedDataset | undefined;
  readonly test: EncodedDataset | undefined;
}

/** A task's data as text, checked. */
export interface TaskExamples {
  readonly labels: readonly string[];
  readonly train: readonly Example[];
  readonly dev: readonly Example[] | undefined;
  readonly test: readonly Example[] | undefined;
  /** The test file, where it has no labels and so is left out. */
  readonly unlabelledTest: string | undefined;
}

/**
 * Reads and checks all files of a task. Labels are the task's, or those found in train; every other file must
 * keep to them. A test file without any label, as published ones often are, is left out.
 *
 * @throws UserError 'data' naming every bad line of the first file that has any
 */
export function readTask(task: ResolvedTask): TaskExamples {
  const { data, training } = task.config;
  const { examples, labels } = read(task, task.data.train, data.labels);
  checkLabels(task.data.train.path, examples, labels);
  const dev = task.data.dev === undefined ? undefined : read(task, task.data.dev, labels).examples;
  const test = readTest(task, labels);
  const rest = {
    labels,
    test,
    unlabelledTest: test === undefined ? task.data.test?.path : undefined,
  };
  if (dev !== undefined || data.dev_fraction === 0) return { ...rest, train: examples, dev };
  return { ...rest, ...splitHeldOut(examples, data.dev_fraction, training.seed) };
}

function read(
  task: ResolvedTask,
  path: ResolvedPath,
  labels: readonly string[] | undefined,
  requireLabels = true,
): ExampleFile {
  const { columns } = task.config.data;
  return readExamples(path.path, { format: formatOf(task, path), columns, labels, requireLabels });
}

function readTest(task: ResolvedTask, labels: readonly string[]): Example[] | undefined {
  const path = task.data.test;
  if (path === undefined) return undefined;
  const { examples } = read(task, path, labels, false);
  const labelled = examples.filter(({ label }) => label !== undefined).length;
  if (labelled === 0) return undefined;
  // Some rows have labels and some have not: that is a mistake, and this says where.
  return labelled === examples.length ? examples : read(task, path, labels).examples;
}

/** The format of a data file: the task's, or by the file's name. */
export function formatOf(task: ResolvedTask, path: ResolvedPath): DataFormat {
  return task.config.data.format ?? guessFormat(path.path);
}

/** Tokenizes all files. */
export function encodeTask(examples: TaskExamples, tokenizer: Tokenizer, maxLength: number): PreparedData {
  const encode = (list: readonly Example[] | undefined) =>
    list === undefined ? undefined : encodeExamples(list, tokenizer, maxLength);
  return {
    labels: examples.labels,
    train: encodeExamples(examples.train, tokenizer, maxLength),
    dev: encode(examples.dev),
    test: encode(examples.test),
  };
}
