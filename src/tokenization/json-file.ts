import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { UserError } from '../errors.js';

/** Reads and checks one JSON file. Throws UserError 'files' naming the file and what is wrong with it. */
export function readJsonFile<T>(path: string, schema: z.ZodType<T>): T {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UserError('files', `${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const result = schema.safeParse(value);
  if (!result.success) throw new UserError('files', `${path}: ${z.prettifyError(result.error)}`);
  return result.data;
}
