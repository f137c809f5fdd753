import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { syncPath, writeDurably } from '../durable-files.js';
import { UserError } from '../errors.js';
import { tidyCheckpoints } from './checkpoints.js';
import { isOfLock, lockRun } from './run-lock.js';

/** A run's folder: task.yaml, log.jsonl, metrics.json, checkpoints/, model/. */

/** `runs/<task>-<date>-<time>`, local time. */
export function defaultRunFolder(task: string, now: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const date = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  const time = `${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
  return join('runs', `${task}-${date}-${time}`);
}

/** Throws UserError 'usage' where the folder is already a run, or holds anything at all. */
export function refuseExistingRun(folder: string): void {
  if (!existsSync(folder)) return;
  if (!statSync(folder).isDirectory())
    throw new UserError('usage', `${folder} is a file, expected a folder`, otherOutput);
  // What there is of a run that died at its very beginning.
  if (readdirSync(folder).every((name) => name === 'task.yaml.partial' || isOfLock(name))) return;
  if (!existsSync(join(folder, 'task.yaml'))) throw new UserError('usage', `${folder} is not empty`, otherOutput);
  throw new UserError(
    'usage',
    `${folder} is an earlier run, which is never overwritten`,
    'Continue it with --resume, or name another --output.',
  );
}

const otherOutput = 'Name another --output.';

/** Throws UserError 'usage' where the folder is not a run that could be continued. */
export function refuseMissingRun(folder: string): void {
  if (!existsSync(folder)) throw new UserError('usage', `--resume: ${folder} does not exist`);
  if (existsSync(join(folder, 'task.yaml'))) return;
  throw new UserError('usage', `--resume: ${folder} is not a run, it has no task.yaml`);
}

export interface CreatedRun {
  /** Takes it away again, for a run that comes to nothing. */
  readonly discard: () => void;
  /** Gives back the folder, which is this process's until then. */
  readonly release: () => void;
}

/**
 * Makes the folder of a new run, for this process alone, and keeps the resolved task there.
 *
 * @throws UserError 'usage' where another process has been faster
 */
export function createRun(folder: string, taskYaml: string): CreatedRun {
  const existed = existsSync(folder);
  makeOutputFolder(folder);
  const release = lockRun(folder);
  const discard = (): void => {
    if (!existed) rmSync(folder, { recursive: true, force: true });
    else for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true, force: true });
  };
  try {
    refuseExistingRun(folder);
  } catch (error) {
    release();
    throw error;
  }
  try {
    writeDurably(join(folder, 'task.yaml'), taskYaml);
    syncPath(dirname(resolve(folder)));
  } catch (error) {
    discard();
    release();
    throw error;
  }
  return { discard, release };
}

/** Makes a folder that the user named, or finds it. Throws UserError 'files' where that cannot be. */
export function makeOutputFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UserError('files', `${folder} cannot be made: ${reason}`, otherOutput);
  }
}

/** Puts a run's folder right before it is continued: what a process that died was writing goes. */
export function tidyRun(folder: string): void {
  tidyCheckpoints(folder);
  for (const place of [folder, join(folder, 'model')]) {
    const names = existsSync(place) ? readdirSync(place) : [];
    for (const name of names) if (name.endsWith('.partial')) rmSync(join(place, name), { force: true });
  }
}
