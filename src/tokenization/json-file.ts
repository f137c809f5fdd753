import { z } from 'zod';
import { UserError } from '../errors.js';
import { jsonExcess } from '../json-bounds.js';
import { readSmallFile } from '../small-file.js';

// A vocabulary may be wrong at each of its words.
const mostLines = 20;

/** Reads and checks one JSON file. Throws UserError 'files' naming the file and what is wrong with it. */
export function readJsonFile<T>(path: string, schema: z.ZodType<T>): T {
  const text = readSmallFile(path).toString('utf8');
  const excess = jsonExcess(text);
  if (excess !== undefined) throw new UserError('files', `${path}: ${excess}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UserError('files', `${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const lines = z.prettifyError(result.error).split('\n');
  const more = lines.length > mostLines ? [`... and ${lines.length - mostLines} lines more`] : [];
  throw new UserError('files', `${path}: ${[...lines.slice(0, mostLines), ...more].join('\n')}`);
}
