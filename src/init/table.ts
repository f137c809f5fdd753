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
  /** `[rows][columns]`; undefined where an object lacks the key, or has null or something nested there. */
  readonly rows: readonly (readonly (string | undefined)[])[];
  /** Columns, by position, whose values are strings: numbers and booleans of JSON are labels, never texts. */
  readonly textual: readonly boolean[];
}

/** @param bytes UTF-8, already found to be, and `lines` of them */
export function readTable(bytes: Uint8Array, lines: readonly string[], format: DataFormat): DataTable {
  if (format === 'jsonl') return objectTable(lines);
  const rows = format === 'csv' ? csvRows(bytes, []) : tsvRows(lines, []);
  const width = rows[0]?.fields.length ?? 0;
  const fields = rows.filter((row) => row.fields.length === width).map((row) => row.fields);
  const textual = Array.from({ length: width }, () => true);
  if (!isHeader(fields)) return { format, names: undefined, rows: fields, textual };
  return { format, names: fields[0]!, rows: fields.slice(1), textual };
}

function objectTable(lines: readonly string[]): DataTable {
  const objects = lines.flatMap(objectOf);
  const names = [...new Set(objects.flatMap((object) => Object.keys(object)))];
  const rows = objects.map((object) => names.map((name) => scalarOf(object, name)));
  const textual = names.map((name) =>
    objects.every(
      (object) => !Object.hasOwn(object, name) || object[name] === null || typeof object[name] === 'string',
    ),
  );
  return { format: 'jsonl', names, rows, textual };
}

type JsonObject = Readonly<Record<string, unknown>>;

/** None for a line that is no object. */
function objectOf(line: string): JsonObject[] {
  try {
    const value: unknown = JSON.parse(line);
    return isMapping(value) ? [value] : [];
  } catch {
    return [];
  }
}

function scalarOf(object: JsonObject, name: string): string | undefined {
  const value = Object.hasOwn(object, name) ? object[name] : undefined;
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}
