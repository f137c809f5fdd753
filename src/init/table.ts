import { z } from 'zod';
import { csvRows } from '../data/csv.js';
import type { DataFormat } from '../data/format.js';
import { tsvRows } from '../data/table.js';
import { isMapping } from '../task/overrides.js';
import { isHeader } from './header.js';

/** The rows of a file, bad ones left out, before anything is known of its columns. */
export interface DataTable {
  readonly format: DataFormat;
  /** Names in the header, or keys of the objects; undefined: columns have positions only. */
  readonly names: readonly string[] | undefined;
  /** `[rows][columns]`, lists as their JSON; undefined where an object lacks the key, or has null or an object there. */
  readonly rows: readonly (readonly (string | undefined)[])[];
  /** Columns, by position, whose values are strings: numbers and booleans of JSON are labels, never texts. */
  readonly textual: readonly boolean[];
  /** Columns, by position, whose values are lists of strings and numbers: any number of labels. */
  readonly lists: readonly boolean[];
}

const listSchema = z.array(z.union([z.string(), z.number(), z.boolean()]));

/** The labels in a cell of a column of lists. */
export const labelsInList = (cell: string): string[] => listSchema.parse(JSON.parse(cell)).map(String);

/**
 * @param bytes UTF-8, already found to be, and `lines` of them
 * @param wanted names of columns: a first row that has one is a header
 */
export function readTable(
  bytes: Uint8Array,
  lines: readonly string[],
  format: DataFormat,
  wanted: readonly string[],
): DataTable {
  if (format === 'jsonl') return objectTable(lines);
  const rows = format === 'csv' ? csvRows(bytes, []) : tsvRows(lines, []);
  const width = rows[0]?.fields.length ?? 0;
  const fields = rows.filter((row) => row.fields.length === width).map((row) => row.fields);
  const kinds = { textual: fields[0]?.map(() => true) ?? [], lists: fields[0]?.map(() => false) ?? [] };
  const isNamed = fields[0]?.some((name) => wanted.includes(name) && !/^\d+$/.test(name)) === true;
  if (!isNamed && !isHeader(fields)) return { format, names: undefined, rows: fields, ...kinds };
  return { format, names: fields[0]!, rows: fields.slice(1), ...kinds };
}

function objectTable(lines: readonly string[]): DataTable {
  const objects = objectsOf(lines);
  const names = [...new Set(objects.flatMap((object) => Object.keys(object)))];
  const rows = objects.map((object) => names.map((name) => cellOf(valueOf(object, name))));
  const allAre = (name: string, test: (value: unknown) => boolean): boolean =>
    objects.every((object) => {
      const value = valueOf(object, name);
      return value === undefined || value === null || test(value);
    });
  const textual = names.map((name) => allAre(name, (value) => typeof value === 'string'));
  const lists = names.map((name) => allAre(name, (value) => listSchema.safeParse(value).success));
  return { format: 'jsonl', names, rows, textual, lists };
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** Of the lines that are objects. */
export const objectsOf = (lines: readonly string[]): JsonObject[] => lines.flatMap(objectOf);

/** None for a line that is no object. */
function objectOf(line: string): JsonObject[] {
  try {
    const value: unknown = JSON.parse(line);
    return isMapping(value) ? [value] : [];
  } catch {
    return [];
  }
}

export const valueOf = (object: JsonObject, name: string): unknown =>
  Object.hasOwn(object, name) ? object[name] : undefined;

function cellOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return listSchema.safeParse(value).success ? JSON.stringify(value) : undefined;
}
