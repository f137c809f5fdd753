import { encodeExamples, type EncodedDataset } from '../data/encode.js';
import type { Example } from '../data/example.js';
import { guessFormat, type DataFormat } from '../data/format.js';
import { checkLabels } from '../data/labels.js';
import { readExamples } from '../data/read.js';
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
}

/**
 * Reads and checks all files of a task. Labels are the task's, or those found in train; every other file must
 * keep to them.
 *
 * @throws UserError 'data' naming every bad line of the first file that has any
 */
export function readTask(task: ResolvedTask): TaskExamples {
  const { data, training } = task.config;
  const read = (path: ResolvedPath, labels: readonly string[] | undefined) =>
    readExamples(path.path, { format: formatOf(task, path), columns: data.columns, labels, requireLabels: true });
  const { examples, labels } = read(task.data.train, data.labels);
  checkLabels(task.data.train.path, examples, labels);
  const readKnown = (path: ResolvedPath | undefined) => (path === undefined ? undefined : read(path, labels).examples);
  const test = readKnown(task.data.test);
  if (task.data.dev !== undefined || data.dev_fraction === 0) {
    return { labels, train: examples, dev: readKnown(task.data.dev), test };
  }
  return { labels, ...splitHeldOut(examples, data.dev_fraction, training.seed), test };
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
