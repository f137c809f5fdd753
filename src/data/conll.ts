import { UserError } from '../errors.js';
import { didYouMean } from '../nearest.js';
import { isTag } from '../metrics/tags.js';
import type { TaggedFile, TaggedSentence } from './example.js';
import { readDataFile } from './file.js';
import { collectLabels } from './labels.js';
import { decodeLines } from './lines.js';
import { quote, type Problem } from './problems.js';
import { listed, throwBadLines } from './read.js';

export interface ConllOptions {
  /** The word's column, from 0; undefined: the first. */
  readonly wordColumn?: number | undefined;
  /** The label's column, from 0; undefined: the last. */
  readonly labelColumn?: number | undefined;
  /** Known label names; without them they are collected from the file itself. */
  readonly labels?: readonly string[] | undefined;
  /** Whether a file of words alone is an error; undefined: it is. */
  readonly requireLabels?: boolean;
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
export function readConll(path: string, options: ConllOptions): TaggedFile {
  return parseConll(readDataFile(path), path, options);
}

/** As readConll, of bytes that are already read. `path` is the name to use in messages. */
export function parseConll(bytes: Uint8Array, path: string, options: ConllOptions): TaggedFile {
  const problems: Problem[] = [];
  const file = conllSentences(bytes, path, options, problems);
  throwBadLines(path, problems);
  return file;
}

/**
 * As parseConll, but what is wrong with lines is collected.
 *
 * @param problems gets an entry for each bad line; its sentence is left out
 * @throws UserError 'data' for what is wrong with the file as a whole
 */
export function conllSentences(
  bytes: Uint8Array,
  path: string,
  options: ConllOptions,
  problems: Problem[],
): TaggedFile {
  const lines = decodeLines(bytes, path, problems);
  const layout = layoutOf(path, lines, options, problems);
  const found = layout === undefined ? [] : taggedWords(lines, layout, problems);
  const known = options.labels ?? collectLabels(tagsIn(found));
  const ids = new Map(known.map((name, id) => [name, id]));
  const sentences: TaggedSentence[] = [];
  for (const { words, isWhole } of found) {
    const before = problems.length;
    for (const { line, label } of words) {
      const message = label === undefined ? undefined : problemOf(label, ids, options.labels !== undefined);
      if (message !== undefined) problems.push({ line, message });
    }
    const [first] = words;
    if (first === undefined || !isWhole || problems.length > before) continue;
    sentences.push({
      words: words.map(({ word }) => word),
      labels: words.flatMap(({ label }) => (label === undefined ? [] : ids.get(label)!)),
      line: first.line,
    });
  }
  return { sentences, labels: known };
}

function* tagsIn(sentences: readonly FoundSentence[]): Generator<string> {
  for (const { words } of sentences) {
    for (const { label } of words) if (label !== undefined && isTag(label)) yield label;
  }
}

interface Layout {
  readonly fieldsOf: (line: string) => string[];
  /** Columns of every line, and the line that has it so. */
  readonly columns: number;
  readonly firstLine: number;
  readonly wordColumn: number;
  /** Undefined where there are words alone. */
  readonly labelColumn: number | undefined;
}

const isEmpty = (line: string): boolean => /^[ \t]*$/.test(line);
const isDocumentStart = (line: string): boolean => /^[ \t]*-DOCSTART-/.test(line);
const isWord = (line: string | undefined): line is string =>
  line !== undefined && !isEmpty(line) && !isDocumentStart(line);

const byTabs = (line: string): string[] => line.split('\t');
/** Blanks at the start count: a word is missing there. */
const byBlanks = (line: string): string[] => line.replace(/ +$/, '').split(/ +/);
const separatorOf = (line: string): Layout['fieldsOf'] => (line.includes('\t') ? byTabs : byBlanks);

/**
 * How all lines stand, by the first that has more than one column; undefined where there is none of which one could tell,
 * among lines that are not UTF-8.
 */
function layoutOf(
  path: string,
  lines: readonly (string | undefined)[],
  options: ConllOptions,
  problems: readonly Problem[],
): Layout | undefined {
  const index = lines.findIndex((line) => isWord(line) && separatorOf(line)(line).length > 1);
  const first = lines[index];
  if (first === undefined) return problems.length > 0 ? undefined : wordsAlone(path, lines, options);
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

function wordsAlone(
  path: string,
  lines: readonly (string | undefined)[],
  { wordColumn = 0, requireLabels = true }: ConllOptions,
): Layout {
  const index = lines.findIndex(isWord);
  if (!requireLabels && index >= 0 && wordColumn === 0) {
    return { fieldsOf: byBlanks, columns: 1, firstLine: index + 1, wordColumn, labelColumn: undefined };
  }
  const got = index < 0 ? `${path}: got empty lines only` : `${path}:${index + 1}: got no label in any line`;
  throw new UserError(
    'data',
    `${got}, expected words with their labels`,
    'Each line has a word and its label, with a tab or blanks between them; an empty line ends a sentence.',
  );
}

interface TaggedWord {
  readonly line: number;
  readonly word: string;
  readonly label: string | undefined;
}

interface FoundSentence {
  readonly words: TaggedWord[];
  /** Whether none of its lines is bad. */
  isWhole: boolean;
}

/** The words of each sentence. */
function taggedWords(
  lines: readonly (string | undefined)[],
  { fieldsOf, columns, firstLine, wordColumn, labelColumn }: Layout,
  problems: Problem[],
): FoundSentence[] {
  const sentences: FoundSentence[] = [];
  let open: FoundSentence | undefined;
  const begun = (): FoundSentence => {
    if (open === undefined) sentences.push((open = { words: [], isWhole: true }));
    return open;
  };
  lines.forEach((text, i) => {
    if (text !== undefined && !isWord(text)) {
      open = undefined;
      return;
    }
    const line = i + 1;
    const sentence = begun();
    // Not UTF-8: that is told already.
    if (text === undefined) {
      sentence.isWhole = false;
      return;
    }
    const fields = fieldsOf(text);
    const word = fields[wordColumn];
    const label = labelColumn === undefined ? undefined : fields[labelColumn]?.replace(/^ +| +$/g, '');
    if (fields.length !== columns) {
      problems.push({ line, message: `got ${count(fields.length)}, expected ${columns} as in line ${firstLine}` });
      sentence.isWhole = false;
    } else if (!word || (!label && labelColumn !== undefined)) {
      problems.push({ line, message: `got no ${word ? 'label' : 'word'} in ${quote(text)}, expected both` });
      sentence.isWhole = false;
    } else sentence.words.push({ line, word, label });
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
