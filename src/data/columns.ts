import { UserError } from '../errors.js';
import { didYouMean } from '../nearest.js';
import type { Problem } from './problems.js';
import type { Row } from './table.js';

/** Which columns to read: names where the file has a header (and for JSONL), positions from 0 where it has none. */
export interface Columns {
  text: string | number;
  pair?: string | number | undefined;
  label?: string | number | undefined;
}

/** What one row holds of the wanted columns, before any check; undefined where it has no such column. */
export interface Cells {
  line: number;
  text: string | undefined;
  pair: string | undefined;
  label: string | undefined;
  /** The label's value where it is a list of labels: in JSONL, of rows that may have several. */
  labels?: readonly string[] | undefined;
}

/** Whether the columns are names. Throws UserError 'usage' when some are names and some positions. */
export function areNames({ text, pair, label }: Columns): boolean {
  const given = [text, pair, label].filter((column) => column !== undefined);
  const names = given.filter((column) => typeof column === 'string');
  if (names.length > 0 && names.length < given.length) {
    throw new UserError('usage', `columns: got ${given.join(', ')}, expected names only or positions only`);
  }
  return names.length > 0;
}

/**
 * Picks the wanted columns out of rows, the first of which is the header when columns are named.
 *
 * The label's column may be missing as a whole when `requireLabels` is false: published test files often lack it.
 *
 * @param problems gets an entry for each row with another number of columns than the first
 * @throws UserError 'data' when the file lacks a wanted column, or has nothing but a header
 */
export function pickColumns(
  path: string,
  rows: readonly Row[],
  columns: Columns,
  requireLabels: boolean,
  problems: Problem[],
): Cells[] {
  const first = rows[0];
  if (first === undefined) return [];
  const named = areNames(columns);
  const position = named ? namedPosition(path, first) : numberedPosition(path, first);
  const text = position(columns.text, true);
  const pair = columns.pair === undefined ? undefined : position(columns.pair, true);
  const label = columns.label === undefined ? undefined : position(columns.label, requireLabels);
  const data = named ? rows.slice(1) : rows;
  if (data.length === 0 && problems.length === 0) {
    throw new UserError('data', `${path}: there is only a header (${first.fields.join(', ')}), expected rows after it`);
  }
  const cells: Cells[] = [];
  for (const { line, fields } of data) {
    if (fields.length === first.fields.length) {
      const at = (index: number | undefined) => (index === undefined ? undefined : fields[index]);
      cells.push({ line, text: at(text), pair: at(pair), label: at(label) });
    } else {
      const names = named ? ` (${first.fields.join(', ')})` : ` as in line ${first.line}`;
      problems.push({
        line,
        message: `got ${count(fields.length)}, expected ${first.fields.length}${names}`,
      });
    }
  }
  return cells;
}

type Position = (column: string | number, required: boolean) => number | undefined;

function namedPosition(path: string, header: Row): Position {
  return (column, required) => {
    const name = String(column);
    const index = header.fields.indexOf(name);
    if (index < 0 && !required) return undefined;
    const found = `${path}:${header.line}: the header has ${header.fields.join(', ')}`;
    if (index < 0) {
      throw new UserError('data', `${found}, expected ${name}${didYouMean(name, header.fields)}`, headerHint);
    }
    if (header.fields.includes(name, index + 1)) throw new UserError('data', `${found}, expected ${name} once`);
    return index;
  };
}

const headerHint = 'set data.columns to the names in the header, or to positions (0, 1, ...) where there is no header';

function numberedPosition(path: string, first: Row): Position {
  return (column, required) => {
    const index = Number(column);
    if (index < first.fields.length) return index;
    if (!required) return undefined;
    throw new UserError(
      'data',
      `${path}:${first.line}: got ${count(first.fields.length)}, expected at least ${index + 1} (column ${index} is wanted)`,
    );
  };
}

const count = (n: number) => (n === 1 ? '1 column' : `${n} columns`);
