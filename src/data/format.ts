import { extname } from 'node:path';
import { UserError } from '../errors.js';

export const dataFormats = ['tsv', 'csv', 'jsonl'] as const;
export type DataFormat = (typeof dataFormats)[number];

const formatOf: Readonly<Record<string, DataFormat>> = {
  '.tsv': 'tsv',
  '.txt': 'tsv',
  '.csv': 'csv',
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.json': 'jsonl',
};

/** What a file of labelled words may be. */
export type TaggedFormat = 'conll' | 'jsonl';

/** The format of labelled words that a file's name speaks for: any that is not one of JSONL is one of CoNLL. */
export const guessTaggedFormat = (path: string): TaggedFormat =>
  formatOf[extname(path).toLowerCase()] === 'jsonl' ? 'jsonl' : 'conll';

/** The format a file's name speaks for. Throws UserError 'data' for an ending that says nothing. */
export function guessFormat(path: string): DataFormat {
  const format = formatOf[extname(path).toLowerCase()];
  if (format !== undefined) return format;
  throw new UserError(
    'data',
    `${path}: no format known for this name, expected one of ${Object.keys(formatOf).join(', ')}`,
    `set data.format to one of ${dataFormats.join(', ')}`,
  );
}
