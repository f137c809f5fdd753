import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.js';
import { checkpointSteps } from './checkpoints.js';

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
  if (readdirSync(folder).length === 0) return;
  if (!existsSync(join(folder, 'task.yaml'))) throw new UserError('usage', `${folder} is not empty`, otherOutput);
  const toDo =
    checkpointSteps(folder).length > 0
      ? 'Continue it with --resume, or name another --output.'
      : 'It has no checkpoint to continue from: delete it, or name another --output.';
  throw new UserError('usage', `${folder} is an earlier run, which is never overwritten`, toDo);
}

const otherOutput = 'Name another --output.';

/** Throws UserError 'usage' where the folder is not a run that could be continued. */
export function refuseMissingRun(folder: string): void {
  if (!existsSync(folder)) throw new UserError('usage', `--resume: ${folder} does not exist`);
  if (existsSync(join(folder, 'task.yaml'))) return;
  throw new UserError('usage', `--resume: ${folder} is not a run, it has no task.yaml`);
}

/**
 * Makes the folder of a new run and keeps the resolved task there.
 * @returns what takes it away again, for a run that comes to nothing
 */
export function createRun(folder: string, taskYaml: string): { discard(): void } {
  const existed = existsSync(folder);
  makeOutputFolder(folder);
  const discard = (): void => {
    if (!existed) rmSync(folder, { recursive: true, force: true });
    else for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true, force: true });
  };
  try {
    writeFileSync(join(folder, 'task.yaml.partial'), taskYaml);
    renameSync(join(folder, 'task.yaml.partial'), join(folder, 'task.yaml'));
  } catch (error) {
    discard();
    throw error;
  }
  return { discard };
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

/** Appends one object to log.jsonl. */
export function appendLog(folder: string, entry: Readonly<Record<string, unknown>>): void {
  appendFileSync(join(folder, 'log.jsonl'), `${JSON.stringify(entry)}\n`);
}

/** Drops what log.jsonl says of steps after `step`, and a line cut off by a crash: those steps are run again. */
export function truncateLog(folder: string, step: number): void {
  const path = join(folder, 'log.jsonl');
  if (!existsSync(path)) return;
  const kept = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && stepOf(line) <= step);
  writeFileSync(`${path}.partial`, kept.map((line) => `${line}\n`).join(''));
  renameSync(`${path}.partial`, path);
}

function stepOf(line: string): number {
  try {
    const entry: unknown = JSON.parse(line);
    if (typeof entry === 'object' && entry !== null && 'step' in entry && typeof entry.step === 'number') {
      return entry.step;
    }
  } catch {
    // a line that was being written when the process died
  }
  return Infinity;
}
