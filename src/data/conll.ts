import { UserError } from '../errors.js';
import { didYouMean } from '../nearest.js';
import { isTag } from '../metrics/tags.js';
import { readDataFile } from './file.js';
import { collectLabels } from './labels.js';
import { decodeLines, notUtf8, utf8Hint } from './lines.js';
import { quote, throwProblems, type Problem } from './problems.js';
import { listed } from './read.js';

/** A sentence as words (or characters) that each have a label. */
export interface TaggedSentence {
  readonly words: readonly string[];
  /** Label id of each word: `[words]`. */
  readonly labels: readonly number[];
  /** Where it starts in the file, from 1. */
  readonly line: number;
}

export interface ConllOptions {
  /** The word's column, from 0; undefined: the first. */
  readonly wordColumn?: number | undefined;
  /** The label's column, from 0; undefined: the last. */
  readonly labelColumn?: number | undefined;
  /** Known label names; without them they are collected from the file itself. */
  readonly labels?: readonly string[] | undefined;
}

export interface ConllFile {
  readonly sentences: readonly TaggedSentence[];
  /** Label names by id: those given, else those found (see collectLabels). */
  readonly labels: readonly string[];
}

/**
 * Reads a file in the manner of CoNLL: one word a line with its label in another column, an empty line between
 * sentences. Columns stand apart by tabs where the first line with a label has one, else by blanks. Lines that begin with -DOCSTART-
 * are left out.
 *
 * Words and labels are taken as they stand: U+2028, U+0085 and U+3000 are characters like others.
 *
 * @throws UserError 'data' naming every bad line at once, or what is wrong with the file as a whole
 */
export function readConll(path: string, options: ConllOptions): ConllFile {
  return parseConll(readDataFile(path), path, options);
}

/** As readConll, of bytes that are already read. `path` is the name to use in messages. */
export function parseConll(bytes: Uint8Array, path: string, options: ConllOptions): ConllFile {
  const problems: Problem[] = [];
  const lines = decodeLines(bytes, path, problems);
  const layout = layoutOf(path, lines, options, problems);
  const found = taggedWords(lines, layout, problems);
  const known = options.labels ?? collectLabels(found.flatMap((sentence) => sentence.map(({ label }) => label)));
  const ids = new Map(known.map((name, id) => [name, id]));
  for (const { line, label } of found.flat()) {
    const message = problemOf(label, ids, options.labels !== undefined);
    if (message !== undefined) problems.push({ line, message });
  }
  throwProblems(path, problems, problems.some(({ message }) => message === notUtf8) ? utf8Hint : undefined);
  const sentences = found.map((sentence) => ({
    words: sentence.map(({ word }) => word),
    labels: sentence.map(({ label }) => ids.get(label)!),
    line: sentence[0]!.line,
  }));
  return { sentences, labels: known };
}

interface Layout {
  readonly fieldsOf: (line: string) => string[];
  /** Columns of every line, and the line that has it so. */
  readonly columns: number;
  readonly firstLine: number;
  readonly wordColumn: number;
  readonly labelColumn: number;
}

const isEmpty = (line: string): boolean => /^[ \t]*$/.test(line);
const isDocumentStart = (line: string): boolean => /^[ \t]*-DOCSTART-/.test(line);
const isWord = (line: string | undefined): line is string =>
  line !== undefined && !isEmpty(line) && !isDocumentStart(line);

const byTabs = (line: string): string[] => line.split('\t');
/** Blanks at the start count: a word is missing there. */
const byBlanks = (line: string): string[] => line.replace(/ +$/, '').split(/ +/);
const separatorOf = (line: string): Layout['fieldsOf'] => (line.includes('\t') ? byTabs : byBlanks);

/** How all lines stand, by the first that has more than one column. */
function layoutOf(
  path: string,
  lines: readonly (string | undefined)[],
  options: ConllOptions,
  problems: readonly Problem[],
): Layout {
  const index = lines.findIndex((line) => isWord(line) && separatorOf(line)(line).length > 1);
  const first = lines[index];
  if (first === undefined) throw unlabelled(path, lines, problems);
  const fieldsOf = separatorOf(first);
  const columns = fieldsOf(first).length;
  const { wordColumn = 0, labelColumn = columns - 1 } = options;
  const wanted = Math.max(wordColumn, labelColumn);
  if (wanted >= columns) {
    throw new UserError(
      'data',
      `${path}:${index + 1}: got ${count(columns)}, expected at least ${wanted + 1} (column ${wanted} is wanted)`,
    );
  }
  if (wordColumn === labelColumn) {
    throw new UserError('usage', `${path}: column ${wordColumn} cannot be the word and its label at once`);
  }
  return { fieldsOf, columns, firstLine: index + 1, wordColumn, labelColumn };
}

function unlabelled(path: string, lines: readonly (string | undefined)[], problems: readonly Problem[]): UserError {
  throwProblems(path, problems, utf8Hint);
  const index = lines.findIndex(isWord);
  const got = index < 0 ? `${path}: got empty lines only` : `${path}:${index + 1}: got no label in any line`;
  return new UserError(
    'data',
    `${got}, expected words with their labels`,
    'Each line has a word and its label, with a tab or blanks between them; an empty line ends a sentence.',
  );
}

interface TaggedWord {
  readonly line: number;
  readonly word: string;
  readonly label: string;
}

/** The words of each sentence; none is without words. */
function taggedWords(
  lines: readonly (string | undefined)[],
  { fieldsOf, columns, firstLine, wordColumn, labelColumn }: Layout,
  problems: Problem[],
): TaggedWord[][] {
  const sentences: TaggedWord[][] = [];
  let open: TaggedWord[] | undefined;
  lines.forEach((text, i) => {
    if (text === undefined) return;
    if (!isWord(text)) {
      open = undefined;
      return;
    }
    const line = i + 1;
    const fields = fieldsOf(text);
    const [word, label] = [fields[wordColumn], fields[labelColumn]?.replace(/^ +| +$/g, '')];
    if (fields.length !== columns) {
      problems.push({ line, message: `got ${count(fields.length)}, expected ${columns} as in line ${firstLine}` });
    } else if (!word || !label) {
      problems.push({ line, message: `got no ${word ? 'label' : 'word'} in ${quote(text)}, expected both` });
    } else {
      if (open === undefined) sentences.push((open = []));
      open.push({ line, word, label });
    }
  });
  return sentences;
}

function problemOf(label: string, ids: ReadonlyMap<string, number>, isKnown: boolean): string | undefined {
  if (isKnown) {
    if (ids.has(label)) return undefined;
    return `got label ${quote(label)}, expected one of ${listed(ids)}${didYouMean(label, [...ids.keys()])}`;
  }
  return isTag(label) ? undefined : `got label ${quote(label)}, expected O, or a tag such as B-PER or I-PER`;
}

const count = (columns: number): string => (columns === 1 ? '1 column' : `${columns} columns`);
