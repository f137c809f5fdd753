import { csvRows } from '../data/csv.js';
import { dataFormats, guessFormat, type DataFormat } from '../data/format.js';
import { UserError } from '../errors.js';
import { isTag, outside } from '../metrics/tags.js';

/** How a labelled file stands. */
export type FileFormat =
  | { readonly kind: 'table'; readonly format: DataFormat }
  | { readonly kind: 'conll'; readonly labelColumn: number; readonly columns: number };

/** Lines that are looked at: enough to tell, few enough to be read at once. */
const sampleSize = 2000;

/** A share of lines that speaks for all: a file may have a few bad ones. */
const nearlyAll = 0.95;

/**
 * The format of a file by its lines; by its name where they fit several.
 *
 * @param lines without their line breaks, at least one
 * @throws UserError 'data' for a form that no reader knows, with the way out of it
 */
export function detectFormat(path: string, lines: readonly string[]): FileFormat {
  const sample = lines.slice(0, sampleSize);
  const first = sample.find((line) => line.trim() !== '') ?? '';
  if (isObject(first)) return { kind: 'table', format: 'jsonl' };
  if (/^\s*[[{]/.test(first) && /\.json$/i.test(path)) throw wholeDocument(path);
  const conll = conllOf(sample);
  if (conll !== undefined) return conll;
  return { kind: 'table', format: tableFormat(path, sample) };
}

function isObject(line: string): boolean {
  if (!/^\s*\{/.test(line)) return false;
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}

const wholeDocument = (path: string): UserError =>
  new UserError(
    'data',
    `${path}: got one JSON document, expected one object a line (JSONL)`,
    "Where it is a list of objects: jq -c '.[]' FILE > FILE.jsonl",
  );

/** Words with a tag each, of which one at least names a type (B-PER): single letters may be words or labels, too. */
function conllOf(lines: readonly string[]): FileFormat | undefined {
  const words = lines.filter((line) => line.trim() !== '' && !line.startsWith('-DOCSTART-'));
  const first = words.find((line) => /\S[ \t]\S/.test(line));
  if (first === undefined) return undefined;
  const fieldsOf = first.includes('\t')
    ? (line: string): string[] => line.split('\t')
    : (line: string): string[] => line.trimEnd().split(/ +/);
  const columns = fieldsOf(first).length;
  const rows = words.map(fieldsOf).filter((fields) => fields.length === columns);
  if (rows.length < nearlyAll * words.length) return undefined;
  for (let column = columns - 1; column > 0; column--) {
    const tags = rows.map((fields) => fields[column]!.trim());
    const good = tags.filter(isTag);
    const isNamed = good.some((tag) => tag !== outside && tag.length > 2);
    if (isNamed && good.length >= nearlyAll * tags.length) return { kind: 'conll', labelColumn: column, columns };
  }
  return undefined;
}

function tableFormat(path: string, lines: readonly string[]): DataFormat {
  const filled = lines.filter((line) => line !== '');
  const share = (character: string): number =>
    filled.filter((line) => line.includes(character)).length / Math.max(1, filled.length);
  const named = formatOfName(path);
  if (named === 'csv' && hasColumns(lines, ',')) return 'csv';
  if (share('\t') >= nearlyAll) return 'tsv';
  if (named === 'tsv' && /\.tsv$/i.test(path)) return 'tsv';
  if (hasColumns(lines, ',') && share(',') >= nearlyAll) return 'csv';
  if (named === 'csv' && share(';') >= nearlyAll) {
    throw new UserError(
      'data',
      `${path}: got columns with ; between, expected commas (CSV) or tabs (TSV)`,
      'Save it with commas or tabs: spreadsheets ask for the separator when they export.',
    );
  }
  return named ?? 'tsv';
}

/** Undefined for an ending that says nothing. */
export function formatOfName(path: string): DataFormat | undefined {
  try {
    return guessFormat(path);
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

function hasColumns(lines: readonly string[], separator: string): boolean {
  if (!lines.some((line) => line.includes(separator))) return false;
  // The sample may end inside quotes: what is read until then is enough.
  const rows = csvRows(Buffer.from(lines.join('\n')), []);
  return (rows[0]?.fields.length ?? 0) > 1;
}

export const formatNames: Readonly<Record<(typeof dataFormats)[number] | 'conll', string>> = {
  tsv: 'columns with tabs between, quotes are plain text',
  csv: 'columns with commas between',
  jsonl: 'a JSON object a line',
  conll: 'a word and its label a line, an empty line between sentences',
};
