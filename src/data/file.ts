import { constants } from 'node:buffer';
import { readFileSync, readdirSync, statSync, type Stats } from 'node:fs';
import { basename, dirname } from 'node:path';
import { UserError } from '../errors.js';
import { nearest } from '../nearest.js';

/**
 * Reads a data file whole.
 *
 * @throws UserError 'data' when it is missing (naming what the folder has), a folder, empty, unreadable, or larger than
 *   one string can be
 */
export function readDataFile(path: string): Uint8Array {
  const stats = findDataFile(path);
  if (stats.size > constants.MAX_STRING_LENGTH) {
    const most = Math.floor(constants.MAX_STRING_LENGTH / 2 ** 20);
    throw new UserError('data', `${path}: ${Math.ceil(stats.size / 2 ** 20)} MiB, at most ${most} MiB can be read`);
  }
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UserError('data', `${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** A data file that is there. Throws UserError 'data' when it is missing (naming what the folder has) or a folder. */
export function findDataFile(path: string): Stats {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) throw missing(path);
  if (stats.isDirectory()) throw new UserError('data', `${path}: is a folder, expected a file`, contents(path));
  return stats;
}

function missing(path: string): UserError {
  const folder = dirname(path);
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    return new UserError(
      'data',
      `${path}: no such file, and no folder ${folder}`,
      "Paths in a task are relative to --data, to T4_DATA, or to the task file's folder.",
    );
  }
  const similar = nearest(basename(path), readdirSync(folder));
  return new UserError(
    'data',
    `${path}: no such file`,
    similar === undefined ? contents(folder) : `did you mean ${similar}?`,
  );
}

function contents(folder: string): string {
  const names = readdirSync(folder).sort();
  const shown = names.slice(0, 10).join(', ');
  return names.length === 0 ? `${folder} is empty` : `${folder} has ${shown}${names.length > 10 ? ', ...' : ''}`;
}
