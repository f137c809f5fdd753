import { appendFileSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.js';

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
  if (!existsSync(folder) || readdirSync(folder).length === 0) return;
  if (existsSync(join(folder, 'task.yaml'))) {
    throw new UserError(
      'usage',
      `${folder} is an earlier run, which is never overwritten`,
      `Continue it with --resume, or name another --output.`,
    );
  }
  throw new UserError('usage', `${folder} is not empty`, 'Name another --output.');
}

/** Makes the folder of a new run and keeps the resolved task there. */
export function createRun(folder: string, taskYaml: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'task.yaml.partial'), taskYaml);
  renameSync(join(folder, 'task.yaml.partial'), join(folder, 'task.yaml'));
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
