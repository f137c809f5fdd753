import { parseConll, type TaggedSentence } from '../data/conll.js';
import { readDataFile } from '../data/file.js';
import { guessFormat } from '../data/format.js';
import { readExamples, type ExampleFile } from '../data/read.js';
import { UserError } from '../errors.js';
import type { ResolvedTask } from '../task/load.js';
import type { Tokenizer } from '../tokenization/tokenizer.js';
import type { Split } from './check.js';
import { showSentence, showText, type ShownExample } from './show.js';

export interface ShownFile {
  readonly file: string;
  readonly examples: readonly ShownExample[];
}

/**
 * The first examples of a split, as the model sees them.
 * @throws UserError 'usage' where the task has no such file, 'data' where one cannot be read
 */
export function showExamples(task: ResolvedTask, split: Split, most: number, tokenizer: Tokenizer): ShownFile {
  const { config, data } = task;
  const file = data[split]?.path;
  if (file === undefined) {
    const heldOut = split === 'dev' && config.data.dev_fraction > 0 ? ': dev is a share of train' : '';
    throw new UserError('usage', `the task has no ${split} file${heldOut}`, 'Choose another --split.');
  }
  const maxLength = config.model.max_length;
  if (config.task === 'ner') {
    const known =
      config.data.labels ?? (split === 'train' ? undefined : readSentences(task, data.train.path, undefined).labels);
    const { sentences, labels } = readSentences(task, file, known);
    const shown = sentences.slice(0, most);
    return { file, examples: shown.map((sentence) => showSentence(sentence, labels, tokenizer, maxLength)) };
  }
  const known =
    config.data.labels ?? (split === 'train' ? undefined : readTexts(task, data.train.path, 'train', undefined).labels);
  const { examples, labels } = readTexts(task, file, split, known);
  return { file, examples: examples.slice(0, most).map((text) => showText(text, labels, tokenizer, maxLength)) };
}

interface Sentences {
  readonly sentences: readonly TaggedSentence[];
  readonly labels: readonly string[];
}

function readSentences(task: ResolvedTask, path: string, labels: readonly string[] | undefined): Sentences {
  const { columns } = task.config.data;
  return parseConll(readDataFile(path), path, {
    wordColumn: typeof columns?.text === 'number' ? columns.text : undefined,
    labelColumn: typeof columns?.label === 'number' ? columns.label : undefined,
    labels,
  });
}

function readTexts(
  { config }: ResolvedTask,
  path: string,
  split: Split,
  labels: readonly string[] | undefined,
): ExampleFile {
  const { format = guessFormat(path), columns } = config.data;
  if (format === 'conll' || columns === undefined) throw new TypeError('the task is not one of classification');
  return readExamples(path, { format, columns, labels, requireLabels: split !== 'test' });
}
