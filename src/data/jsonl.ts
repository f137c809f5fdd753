import { z } from 'zod';
import { UserError } from '../errors.js';
import { didYouMean } from '../nearest.js';
import { areNames, type Cells, type Columns } from './columns.js';
import { quote, quoteJson, type Problem } from './problems.js';
import { emptyLine } from './table.js';

const objectSchema = z.record(z.string(), z.unknown());
const labelSchema = z.union([z.string(), z.number(), z.boolean()]);
const labelListSchema = z.array(labelSchema);

/**
 * The wanted keys of a JSONL file, one object a line. A label may be a number or a boolean: it is taken as it is
 * spelled. A key that is missing or null counts as an absent column of that row.
 *
 * @param problems gets an entry for each line that is not an object, or has another type at a wanted key
 * @param takesLists whether the label is a list of labels
 * @throws UserError 'usage' when columns are positions, 'data' when no line has a wanted key
 */
export function jsonlCells(
  path: string,
  lines: readonly (string | undefined)[],
  columns: Columns,
  requireLabels: boolean,
  problems: Problem[],
  takesLists = false,
): Cells[] {
  if (!areNames(columns)) {
    throw new UserError('usage', `columns: got positions, expected the keys of the objects in a JSONL file`);
  }
  const wanted = [columns.text, columns.pair, requireLabels ? columns.label : undefined];
  const keys = wanted.filter((name) => typeof name === 'string');
  const make = takesLists ? cellsWithList : cellsOf;
  return jsonlRows(path, lines, keys, (object, line) => make(object, columns, line), problems);
}

/**
 * Makes something of the object of each line.
 *
 * @param keys that are needed: one that no object has is an error of the file, not of its lines
 * @param make may throw LineError
 * @param problems gets an entry for each line that is not an object, or of which `make` throws
 * @throws UserError 'data' when no line has one of the keys
 */
export function jsonlRows<T>(
  path: string,
  lines: readonly (string | undefined)[],
  keys: readonly string[],
  make: (object: Readonly<Record<string, unknown>>, line: number) => T,
  problems: Problem[],
): T[] {
  const rows: T[] = [];
  const found = new Set<string>();
  lines.forEach((text, i) => {
    if (text === undefined) return;
    try {
      const object = parseObject(text);
      for (const key of Object.keys(object)) found.add(key);
      rows.push(make(object, i + 1));
    } catch (error) {
      if (!(error instanceof LineError)) throw error;
      problems.push({ line: i + 1, message: error.message });
    }
  });
  const missing = found.size === 0 ? undefined : keys.find((key) => !found.has(key));
  if (missing === undefined) return rows;
  const names = [...found];
  throw new UserError(
    'data',
    `${path}: the objects have ${names.join(', ')}, expected ${missing}${didYouMean(missing, names)}`,
    'set data.columns to the keys of the objects',
  );
}

/** What is wrong with one line, for jsonlRows. */
export class LineError extends Error {}

function parseObject(text: string): Record<string, unknown> {
  if (text.trim() === '') throw new LineError(emptyLine);
  const notObject = `got ${quote(text)}, expected a JSON object in one line`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new LineError(notObject);
  }
  const object = objectSchema.safeParse(value);
  if (!object.success) throw new LineError(notObject);
  return object.data;
}

function cellsOf(object: Readonly<Record<string, unknown>>, columns: Columns, line: number): Cells {
  const label = valueAt(object, columns.label, labelSchema, 'a string, a number or a boolean');
  return {
    line,
    ...textsOf(object, columns),
    label: label === undefined ? undefined : String(label),
  };
}

function cellsWithList(object: Readonly<Record<string, unknown>>, columns: Columns, line: number): Cells {
  const labels = valueAt(object, columns.label, labelListSchema, 'a list of labels');
  return { line, ...textsOf(object, columns), label: undefined, labels: labels?.map(String) };
}

const textsOf = (object: Readonly<Record<string, unknown>>, columns: Columns) => ({
  text: valueAt(object, columns.text, z.string(), 'a string'),
  pair: valueAt(object, columns.pair, z.string(), 'a string'),
});

/** The value at a key; undefined where it is missing or null. Throws LineError for another than the schema's. */
export function valueAt<T>(
  object: Readonly<Record<string, unknown>>,
  key: string | number | undefined,
  schema: z.ZodType<T>,
  expected: string,
): T | undefined {
  // hasOwn: "constructor" is a key like any other.
  if (key === undefined || !Object.hasOwn(object, key) || object[key] === null) return undefined;
  const result = schema.safeParse(object[key]);
  if (!result.success) throw new LineError(`got ${key} ${quoteJson(object[key])}, expected ${expected}`);
  return result.data;
}
