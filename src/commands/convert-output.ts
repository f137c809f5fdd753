import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, rmdirSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { UserError } from '../errors.js';

/** A folder that appears with all its files, or not at all. */
export interface NewFolder {
  /** Where to write for now. */
  readonly path: string;
  /** Puts what was written into its place. */
  finish(): void;
  /** Takes everything away again, the folders around it included. After `finish` it does nothing. */
  discard(): void;
}

const otherOutput = 'Name another --output.';

/** Throws UserError 'usage' where something is there already. */
export function refuseExisting(folder: string): void {
  const found = orRefuse(folder, () => statSync(folder, { throwIfNoEntry: false }));
  if (found === undefined) return;
  if (!found.isDirectory()) throw new UserError('usage', `${folder} is a file, expected a folder`, otherOutput);
  if (readdirSync(folder).length > 0) throw new UserError('usage', `${folder} is not empty`, otherOutput);
}

/**
 * Begins a folder beside its place; inside, where an empty folder is there, which may be the current one or a disk of its
 * own.
 *
 * @throws UserError 'files' where no folder can be made there
 */
export function beginFolder(folder: string): NewFolder {
  const target = resolve(folder);
  const isThere = existsSync(target);
  const parent = isThere ? target : dirname(target);
  // The uppermost folder that is made for it; undefined where all are there.
  const madeUpTo = orRefuse(folder, () => mkdirSync(parent, { recursive: true }));
  // Not by mkdtemp, whose folders nobody else may read.
  const path = join(parent, `${basename(target)}.partial-${randomBytes(4).toString('hex')}`);
  orRefuse(folder, () => {
    mkdirSync(path);
  });
  let done = false;
  return {
    path,
    finish() {
      if (isThere) {
        for (const name of readdirSync(path)) renameSync(join(path, name), join(target, name));
        rmdirSync(path);
      } else {
        renameSync(path, target);
      }
      done = true;
    },
    discard() {
      if (done) return;
      done = true;
      rmSync(path, { recursive: true, force: true });
      if (madeUpTo !== undefined) removeEmpty(parent, madeUpTo);
    },
  };
}

/** What the system says against a folder, in words: part of its path is a file, or nothing can be made there. */
export function orRefuse<T>(folder: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UserError('files', `${folder} cannot be made: ${reason}`, otherOutput);
  }
}

/** Removes a folder and those around it, up to `top`, as long as nothing else is in them. */
function removeEmpty(folder: string, top: string): void {
  for (let current = folder; current.startsWith(top) && readdirSync(current).length === 0; current = dirname(current)) {
    rmdirSync(current);
  }
}
