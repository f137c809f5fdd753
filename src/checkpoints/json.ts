import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { UserError } from '../errors.js';

/** Reads a JSON file. Throws UserError 'files', with the message `absent` where there is none. */
export function readJson(path: string, absent: string): unknown {
  if (!existsSync(path)) throw new UserError('files', absent);
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UserError('files', `${path}: ${error instanceof Error ? error.message : 'not JSON'}`);
  }
}

/** Writes a JSON file beside and renames it into place. */
export function writeJson(path: string, value: unknown): void {
  writeFileSync(`${path}.partial`, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(`${path}.partial`, path);
}
