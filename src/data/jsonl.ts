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
  const cells: Cells[] = [];
  const keys = new Set<string>();
  lines.forEach((text, i) => {
    if (text === undefined) return;
    try {
      const object = parseObject(text);
      for (const key of Object.keys(object)) keys.add(key);
      cells.push(takesLists ? cellsWithList(object, columns, i + 1) : cellsOf(object, columns, i + 1));
    } catch (error) {
      if (!(error instanceof LineError)) throw error;
      problems.push({ line: i + 1, message: error.message });
    }
  });
  for (const name of [columns.text, columns.pair, requireLabels ? columns.label : undefined]) {
    if (typeof name !== 'string' || keys.has(name) || keys.size === 0) continue;
    const found = [...keys];
    throw new UserError(
      'data',
      `${path}: the objects have ${found.join(', ')}, expected ${name}${didYouMean(name, found)}`,
      'set data.columns to the keys of the objects',
    );
  }
  return cells;
}

/** What is wrong with one line; never leaves this file. */
class LineError extends Error {}

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

function cellsOf(object: Record<string, unknown>, columns: Columns, line: number): Cells {
  const label = valueAt(object, columns.label, labelSchema, 'a string, a number or a boolean');
  return {
    line,
    ...textsOf(object, columns),
    label: label === undefined ? undefined : String(label),
  };
}

function cellsWithList(object: Record<string, unknown>, columns: Columns, line: number): Cells {
  const labels = valueAt(object, columns.label, labelListSchema, 'a list of labels');
  return { line, ...textsOf(object, columns), label: undefined, labels: labels?.map(String) };
}

const textsOf = (object: Record<string, unknown>, columns: Columns) => ({
  text: valueAt(object, columns.text, z.string(), 'a string'),
  pair: valueAt(object, columns.pair, z.string(), 'a string'),
});

function valueAt<T>(
  object: Record<string, unknown>,
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
