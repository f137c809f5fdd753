import { basename } from 'node:path';
import { parseConll } from '../data/conll.js';
import type { TaggedFile } from '../data/example.js';
import { readDataFile } from '../data/file.js';
import { dataFormats } from '../data/format.js';
import { decodeLines, utf8Hint } from '../data/lines.js';
import { throwProblems, type Problem } from '../data/problems.js';
import { readLabelSets } from '../data/read-label-sets.js';
import { parseExamples } from '../data/read.js';
import { readTagged } from '../data/tagged.js';
import { UserError } from '../errors.js';
import { defaultSeparator } from '../task/data-schema.js';
import type { TaskKind } from '../task/schema.js';
import type { Choice } from './choice.js';
import { countLabels, findColumns, fits, NoLabels, type FoundColumns, type WantedColumns } from './columns.js';
import { detectFormat, formatNames, formatOfName, type FileFormat } from './file-format.js';
import type { SampleFile } from './lengths.js';
import { findSiblings } from './siblings.js';
import { spanKeys, type SpanKeys } from './span-keys.js';
import { objectsOf, readTable, valueOf } from './table.js';

/** What is known of a user's data before a model is chosen. */
export interface DataSet {
  readonly path: string;
  readonly kind: TaskKind;
  /** Rows or sentences of train. */
  readonly size: number;
  /** The examples of train, and of dev and test where there are any. */
  readonly files: readonly SampleFile[];
  /** How often each label comes in train; 0 for those of dev and test alone. */
  readonly labels: ReadonlyMap<string, number>;
  readonly dev: string | undefined;
  readonly test: string | undefined;
  readonly format: Choice<string> | undefined;
  readonly columns: Choice<Readonly<Record<string, string | number>>> | undefined;
  /** What the user should know besides: a sentence each. */
  readonly notes: readonly string[];
}

interface Text {
  readonly bytes: Uint8Array;
  readonly lines: readonly string[];
}

/**
 * Looks at a labelled file and at those beside it.
 *
 * @throws UserError 'data' where nothing can be learned from it, 'usage' for columns that it has not
 */
export function readDataSet(path: string, wanted: WantedColumns): DataSet {
  const text = readText(path);
  const format = detectFormat(path, text.lines);
  try {
    if (format.kind === 'conll') return wordSet(path, text, format, wanted);
    const keys = format.format === 'jsonl' ? spanKeys(text.lines, wanted) : undefined;
    return keys === undefined ? rowSet(path, text, format, wanted) : spanSet(path, keys, wanted);
  } catch (error) {
    if (!(error instanceof NoLabels)) throw error;
    throw new UserError(error.kind, error.message, withoutLabels(path));
  }
}

function readText(path: string): Text {
  const bytes = readDataFile(path);
  const problems: Problem[] = [];
  const lines = decodeLines(bytes, path, problems);
  throwProblems(path, problems, utf8Hint);
  return { bytes, lines: lines.map((line) => line ?? '') };
}

function withoutLabels(path: string): string {
  const { found } = findSiblings(path);
  const other = found.train ?? found.dev;
  return [
    ...(other === undefined ? [] : [`${basename(other)} lies beside it: t4 init ${other}`]),
    'Where a column does have labels, name it: --label-column NAME, or a position from 0 without a header.',
    `Texts are labelled by a model that is fine-tuned already: t4 predict --checkpoint RUN --input ${path}`,
  ].join('\n');
}

type Conll = Extract<FileFormat, { kind: 'conll' }>;
type Table = Extract<FileFormat, { kind: 'table' }>;

/** A word and its label a line. */
function wordSet(path: string, { bytes }: Text, format: Conll, wanted: WantedColumns): DataSet {
  const flag = Object.entries(wanted).find(([, name]) => name !== undefined)?.[0];
  if (flag !== undefined) {
    throw new UserError(
      'usage',
      `--${flag}-column: ${path} has a word and its label a line (CoNLL), not columns of texts`,
    );
  }
  const { labelColumn, columns } = format;
  return taggedSet(path, parseConll(bytes, path, { labelColumn }), {
    beside(sibling) {
      const other = readText(sibling);
      const otherFormat = detectFormat(sibling, other.lines);
      if (otherFormat.kind !== 'conll' || otherFormat.columns !== columns) return 'no';
      return parseConll(other.bytes, sibling, { labelColumn });
    },
    format: { value: 'conll', why: `${sentence(formatNames.conll)}.` },
    columns:
      labelColumn === columns - 1
        ? undefined
        : { value: { text: 0, label: labelColumn }, why: `Of ${columns} columns, from 0, this one has the labels.` },
  });
}

/** Texts with the places of their entities. */
function spanSet(path: string, keys: SpanKeys, wanted: WantedColumns): DataSet {
  if (wanted.pair !== undefined) {
    throw new UserError(
      'usage',
      `--pair-column: ${path} has texts with entities, which are found in single texts`,
      'Where texts have a label besides, name its key: --label-column KEY.',
    );
  }
  const columns = { text: keys.text, label: keys.entities };
  const read = (file: string): TaggedFile => readTagged(file, { format: 'jsonl', columns, requireLabels: true });
  const others = keys.others.length === 0 ? '' : ` Not used: ${keys.others.join(', ')}.`;
  return taggedSet(path, read(path), {
    beside(sibling) {
      const { lines } = readText(sibling);
      if (spanKeys(lines, columns) !== undefined) return read(sibling);
      return objectsOf(lines).some((object) => typeof valueOf(object, keys.text) === 'string') ? 'unlabelled' : 'no';
    },
    format: { value: 'jsonl', why: `${sentence(formatNames.jsonl)}: a text and the places of its entities.` },
    columns: { value: columns, why: `${keys.entities} has lists of entities with their places.${others}` },
  });
}

/** How files of labelled words stand. */
interface TaggedForm extends Pick<DataSet, 'format' | 'columns'> {
  /** Reads another file of the same form. */
  beside(path: string): TaggedFile | 'no' | 'unlabelled';
}

function taggedSet(path: string, file: TaggedFile, form: TaggedForm): DataSet {
  const counts = tagCounts(file);
  refuseOneLabel(path, counts);
  const notes: string[] = [];
  const splits = siblingsOf(path, notes, (sibling) => {
    const other = form.beside(sibling);
    return typeof other === 'string' ? other : { labels: tagCounts(other), samples: other.sentences };
  });
  return {
    path,
    kind: 'ner',
    size: file.sentences.length,
    files: filesOf(path, file.sentences, splits),
    labels: withLabelsOf(counts, splits),
    dev: splits.dev?.path,
    test: splits.test?.path,
    format: form.format,
    columns: form.columns,
    notes,
  };
}

const sentence = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);

function refuseOneLabel(path: string, counts: ReadonlyMap<string, number>): void {
  if (counts.size > 1) return;
  const got = counts.size === 0 ? 'no label' : `only the label ${[...counts.keys()].join()}`;
  throw new UserError('data', `${path}: got ${got}, expected at least 2 different labels`);
}

/** All labels of the file, also those that no word has: B- and I- of a type come together. */
function tagCounts({ sentences, labels }: TaggedFile): Map<string, number> {
  const counts = new Map(labels.map((label) => [label, 0]));
  for (const id of sentences.flatMap((one) => one.labels)) {
    const label = labels[id]!;
    counts.set(label, counts.get(label)! + 1);
  }
  return counts;
}

function rowSet(path: string, text: Text, { format }: Table, wanted: WantedColumns): DataSet {
  const named = Object.values(wanted).filter((name) => name !== undefined);
  const table = readTable(text.bytes, text.lines, format, named);
  const found = findColumns(path, table, wanted);
  const { columns, at } = found;
  const examples = readAll(path, text, format, found);
  const counts = countLabels(table, found);
  refuseOneLabel(path, counts);
  const notes: string[] = [];
  const splits = siblingsOf(path, notes, (sibling) => readRowsBeside(sibling, format, found));
  const isSpelled =
    formatOfName(path) === format &&
    [splits.dev, splits.test].every((split) => split === undefined || formatOfName(split.path) === format);
  return {
    path,
    kind: found.inLists
      ? 'multi-label-classification'
      : at.pair === undefined
        ? 'classification'
        : 'pair-classification',
    size: examples.length,
    files: filesOf(path, examples, splits),
    labels: withLabelsOf(counts, splits),
    dev: splits.dev?.path,
    test: splits.test?.path,
    format: isSpelled
      ? undefined
      : { value: format, why: `${sentence(formatNames[format])}; the name does not say it.` },
    columns: { value: columns, why: found.why },
    notes,
  };
}

/** The examples as t4 finetune will read them: what it would refuse is refused here, with the lines. */
function readAll(
  path: string,
  { bytes }: Text,
  format: (typeof dataFormats)[number],
  { columns, inLists }: FoundColumns,
): SampleFile['samples'] {
  const options = { format, columns, requireLabels: true };
  try {
    if (inLists) return readLabelSets(path, { ...options, separator: defaultSeparator }).examples;
    return parseExamples(bytes, path, options).examples;
  } catch (error) {
    if (!(error instanceof UserError) || error.kind !== 'data') throw error;
    const understood = Object.entries(columns).map(([what, column]) => `${what} ${column}`);
    throw new UserError(
      'data',
      error.message,
      `Mend these lines and try again. The columns were taken to be ${understood.join(', ')}; if that is wrong, name them\n` +
        'with --text-column, --pair-column and --label-column.',
    );
  }
}

function readRowsBeside(path: string, format: (typeof dataFormats)[number], found: FoundColumns): Beside {
  const text = readText(path);
  const other = detectFormat(path, text.lines);
  if (other.kind !== 'table' || other.format !== format) return 'no';
  const named = Object.values(found.columns).map(String);
  const table = readTable(text.bytes, text.lines, format, named);
  const fit = fits(table, found);
  if (fit !== 'labelled') return fit;
  return { labels: countLabels(table, found), samples: readAll(path, text, format, found) };
}

interface Labelled {
  readonly labels: ReadonlyMap<string, number>;
  readonly samples: SampleFile['samples'];
}

type Beside = Labelled | 'no' | 'unlabelled';

interface Split extends Labelled {
  readonly path: string;
}

type Splits = Partial<Record<'dev' | 'test', Split>>;

const filesOf = (path: string, samples: SampleFile['samples'], splits: Splits): SampleFile[] =>
  [{ path, samples }, ...Object.values(splits)].map((file) => ({ name: basename(file.path), samples: file.samples }));

/** The dev and test files beside a file that can be used with it; why others cannot is noted. */
function siblingsOf(path: string, notes: string[], readBeside: (path: string) => Beside): Splits {
  const { own, found } = findSiblings(path);
  if (found.train !== undefined) {
    notes.push(`${basename(found.train)} lies beside ${basename(path)}: for the whole set, t4 init ${found.train}`);
  }
  const usable: Splits = {};
  for (const split of ['dev', 'test'] as const) {
    const sibling = found[split];
    if (sibling === undefined || split === own) continue;
    const read = readSibling(sibling, readBeside, notes);
    if (read !== undefined) usable[split] = { path: sibling, ...read };
  }
  return usable;
}

function readSibling(path: string, readBeside: (path: string) => Beside, notes: string[]): Labelled | undefined {
  const name = basename(path);
  try {
    const read = readBeside(path);
    if (typeof read !== 'string') return read;
    notes.push(
      read === 'no'
        ? `${name} is left out: it has other columns or another format`
        : `${name} is left out: it has no labels; t4 predict labels it`,
    );
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    notes.push(`${name} is left out: ${error.message.split('\n')[0] ?? ''}`);
  }
  return undefined;
}

/** Labels that only dev or test has are known to the model, too, though it cannot learn them. */
function withLabelsOf(train: ReadonlyMap<string, number>, splits: Splits): ReadonlyMap<string, number> {
  const all = new Map(train);
  for (const split of Object.values(splits))
    for (const label of split.labels.keys()) if (!all.has(label)) all.set(label, 0);
  return all;
}
