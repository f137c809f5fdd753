import { basename } from 'node:path';
import { collectLabels } from '../data/labels.js';
import type { TaskKind } from '../task/schema.js';
import { formatCount, plural } from '../ui/format.js';
import type { Choice } from './choice.js';
import type { DataSet } from './data-set.js';
import type { Language } from './language.js';
import { chooseMaxLength, type Lengths } from './lengths.js';
import type { ChosenModel } from './model.js';

/** All that init decides, in the order of a task file. Paths are as the current directory has them. */
export interface Choices {
  readonly task: Choice<TaskKind>;
  readonly language: Choice<string | undefined>;
  readonly train: Choice<string>;
  readonly dev: Choice<string | undefined>;
  readonly test: Choice<string | undefined>;
  /** undefined: the name says it */
  readonly format: Choice<string> | undefined;
  readonly columns: Choice<Readonly<Record<string, string | number>>> | undefined;
  readonly dev_fraction: Choice<number> | undefined;
  /** undefined: too many to be listed */
  readonly labels: Choice<readonly string[]> | undefined;
  readonly source: Choice<string>;
  readonly max_length: Choice<number>;
  readonly tokens: Lengths;
  readonly epochs: Choice<number>;
  readonly batch_size: Choice<number>;
  readonly learning_rate: Choice<number>;
  readonly metric: Choice<'macro_f1'> | undefined;
}

/** A list that a person can look over. */
const mostListed = 50;

export function chooseTask(data: DataSet, language: Language, model: ChosenModel): Choices {
  const { value: maxLength, why, lengths } = chooseMaxLength(data.files, model.tokenizer, model.maxTokens);
  const counts = [...data.labels.values()];
  return {
    task: taskOf(data),
    language: { value: language.code, why: language.why },
    ...splitsOf(data),
    format: data.format,
    columns: data.columns,
    dev_fraction: data.dev === undefined ? devFraction(data.size, data.labels) : undefined,
    labels: data.labels.size > mostListed ? undefined : labelsOf(data),
    source: { value: model.source, why: model.why },
    max_length: { value: maxLength, why },
    tokens: lengths,
    ...trainingOf(data.size, model, maxLength),
    metric: data.kind === 'ner' || data.kind === 'multi-label-classification' ? undefined : metricOf(counts),
  };
}

function taskOf({ kind }: DataSet): Choice<TaskKind> {
  const whys: Readonly<Record<TaskKind, string>> = {
    classification: 'One text a row, and one label for it.',
    'pair-classification': 'Two texts a row, and one label for both.',
    'multi-label-classification': 'One text a row, and any number of labels for it.',
    ner: 'A label for each word: named entities and the like.',
  };
  return { value: kind, why: whys[kind] };
}

function splitsOf(data: DataSet): Pick<Choices, 'train' | 'dev' | 'test'> {
  const unit = data.kind === 'ner' ? 'sentence' : 'row';
  const beside = (path: string): string => `Found beside it by its name, ${basename(path)}`;
  return {
    train: { value: data.path, why: `${plural(data.size, unit)}.` },
    dev: {
      value: data.dev,
      why: data.dev === undefined ? '' : `${beside(data.dev)}: evaluated after each epoch, and the best is kept.`,
    },
    test: {
      value: data.test,
      why: data.test === undefined ? '' : `${beside(data.test)}: the best weights are tested on it at the end.`,
    },
  };
}

/** Enough to tell two epochs apart, and no more than that of a large file. */
function devFraction(size: number, labels: ReadonlyMap<string, number>): Choice<number> {
  const share = size < 500 ? 0.2 : size <= 50_000 ? 0.1 : Math.max(0.01, Number((5000 / size).toFixed(2)));
  const heldOut = Math.round(size * share);
  // A label keeps one of its rows to learn from.
  if (heldOut === 0 || size <= labels.size) {
    return { value: 0, why: 'Too few rows to hold some out: nothing says how good the result is.' };
  }
  return {
    value: share,
    why: `There is no dev file, so ${formatCount(heldOut)} of ${formatCount(size)} are held out to find the best epoch.`,
  };
}

function labelsOf({ labels, kind }: DataSet): Choice<readonly string[]> {
  const names = collectLabels(labels.keys());
  const unit = kind === 'ner' ? 'words' : 'rows';
  const counts = names.map((name) => formatCount(labels.get(name) ?? 0)).join(' / ');
  return { value: names, why: `In the order of their ids, which stays with the model: ${counts} ${unit} of train.` };
}

/** Settings of the literature; small data need more passes, and long texts more memory. */
function trainingOf(
  size: number,
  { small }: ChosenModel,
  maxLength: number,
): Pick<Choices, 'epochs' | 'batch_size' | 'learning_rate'> {
  const epochs = size < 1000 ? 8 : size < 20_000 ? 4 : size < 200_000 ? 3 : 2;
  const few = size < 1000;
  const batch = few || maxLength > 256 ? 16 : 32;
  const rate = small ? (few ? 1e-4 : 5e-5) : 3e-5;
  return {
    epochs: {
      value: epochs,
      why: `${few ? 'Few' : formatCount(size)} examples; with each epoch measured, the best is kept.`,
    },
    batch_size: {
      value: batch,
      why: few
        ? 'More steps of less data where there is little.'
        : batch === 16
          ? 'Half of the usual 32, because long texts need memory.'
          : 'The usual size; halve it where memory is short.',
    },
    learning_rate: {
      value: rate,
      why: small
        ? 'Small models learn at a higher rate than the usual 3e-5.'
        : 'What BERT-base is usually fine-tuned with.',
    },
  };
}

/** One label has most of the rows: saying it always would look good by accuracy. */
function metricOf(counts: readonly number[]): Choice<'macro_f1'> | undefined {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const largest = Math.max(...counts);
  if (largest / total < Math.max(0.75, 1.8 / counts.length)) return undefined;
  const share = ((100 * largest) / total).toFixed(0);
  return {
    value: 'macro_f1',
    why: `The commonest label has ${share} % of the rows: accuracy would praise a model that knows no other.`,
  };
}
