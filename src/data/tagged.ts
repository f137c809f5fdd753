import { conllSentences } from './conll.js';
import type { Columns } from './columns.js';
import { spanSentences } from './entity-spans.js';
import type { TaggedFile } from './example.js';
import { readDataFile } from './file.js';
import { guessTaggedFormat, type DataFormat, type TaggedFormat } from './format.js';
import { throwBadLines, type ReadOptions } from './read.js';
import type { Problem } from './problems.js';

export interface TaggedOptions {
  /** Undefined: as the file's name says. */
  readonly format?: TaggedFormat | undefined;
  /** Positions in CoNLL, keys in JSONL; those of the other kind count as absent. */
  readonly columns?: { readonly text?: Columns['label']; readonly label?: Columns['label'] } | undefined;
  /** Known label names; without them they are collected from the file itself. */
  readonly labels?: ReadOptions['labels'];
  /** Whether a file, or a text, without labels is an error. */
  readonly requireLabels: boolean;
}

/** What a task says of its files of labelled words. */
export function taggedLayout(data: {
  readonly format?: DataFormat | TaggedFormat | undefined;
  readonly columns?: Columns | undefined;
}): Pick<TaggedOptions, 'format' | 'columns'> {
  const { format, columns } = data;
  if (format === 'tsv' || format === 'csv') throw new TypeError('the task is not one of labelled words');
  return { format, columns };
}

/**
 * Reads a file of labelled words: a word a line (see readConll), or texts with their entities (see spanSentences).
 *
 * @throws UserError 'data' naming every bad line at once, or what is wrong with the file as a whole
 */
export function readTagged(path: string, options: TaggedOptions): TaggedFile {
  const problems: Problem[] = [];
  const file = parseTagged(readDataFile(path), path, options, problems);
  throwBadLines(path, problems);
  return file;
}

/**
 * The sentences that can be read.
 *
 * @param problems gets an entry for each thing that is wrong with a line; its sentence is left out
 * @throws UserError 'data' for what is wrong with the file as a whole
 */
export function parseTagged(
  bytes: Uint8Array,
  path: string,
  { format = guessTaggedFormat(path), columns = {}, labels, requireLabels }: TaggedOptions,
  problems: Problem[],
): TaggedFile {
  const { text, label } = columns;
  if (format === 'jsonl') {
    const [textKey, entitiesKey] = [text, label].map((key) => (typeof key === 'string' ? key : undefined));
    return spanSentences(bytes, path, { textKey, entitiesKey, labels, requireLabels }, problems);
  }
  const [wordColumn, labelColumn] = [text, label].map((at) => (typeof at === 'number' ? at : undefined));
  return conllSentences(bytes, path, { wordColumn, labelColumn, labels, requireLabels }, problems);
}
