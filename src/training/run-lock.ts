import {
  constants,
  copyFileSync,
  linkSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../errors.js';

/**
 * A run's folder is one process's at a time: two that trained into it would write one log, and prune each other's
 * checkpoints. The process that has it says so in a file. No heartbeat keeps that alive, since a step blocks the thread for
 * as long as it takes: a process that is gone is known by its number and the time it was started at.
 */

export const lockName = '.lock';

const ownerSchema = z.object({
  pid: z.int().positive(),
  /** As startOf gives it. */
  started: z.string().optional(),
  host: z.string(),
  /** ISO 8601. */
  since: z.string(),
});
type Owner = z.infer<typeof ownerSchema>;

/**
 * Takes a run's folder for this process. What a process that died has left is taken over.
 *
 * @returns gives it back; that happens by itself where the process exits
 * @throws UserError 'usage' where another process has it
 */
export function lockRun(folder: string): () => void {
  const path = join(folder, lockName);
  const beside = `${path}.${process.pid}`;
  const started = startOf(process.pid);
  const mine: Owner = {
    pid: process.pid,
    ...(started === undefined ? {} : { started }),
    host: hostname(),
    since: new Date().toISOString(),
  };
  writeFileSync(beside, JSON.stringify(mine));
  try {
    // A link, unlike a rename, fails where the name is taken; and what has the name is never half written.
    while (!link(beside, path)) {
      const found = read(path);
      refuse(folder, found);
      takeAway(path, found);
    }
  } finally {
    rmSync(beside, { force: true });
  }
  removeStrays(folder);
  const release = (): void => {
    process.off('exit', release);
    if (read(path) === JSON.stringify(mine)) rmSync(path, { force: true });
  };
  process.on('exit', release);
  return release;
}

/** Throws UserError 'usage' where a process has the run's folder. */
export function refuseLockedRun(folder: string): void {
  refuse(folder, read(join(folder, lockName)));
}

const strayForm = /^\.lock\.(\d+)(?:\.taken)?$/;

/** What processes that were killed while they took the lock left beside it. */
function removeStrays(folder: string): void {
  for (const name of readdirSync(folder)) {
    const pid = strayForm.exec(name)?.[1];
    if (pid !== undefined && startOf(Number(pid)) === undefined) rmSync(join(folder, name), { force: true });
  }
}

/** Whether a file belongs to the lock: it says nothing of a run. */
export const isOfLock = (name: string): boolean => name === lockName || strayForm.test(name);

function link(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    if (!isCode(error, 'EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK')) throw error;
  }
  // File systems without links: FAT, and many that are somewhere else.
  try {
    copyFileSync(from, to, constants.COPYFILE_EXCL);
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  }
}

const isCode = (error: unknown, ...codes: readonly string[]): boolean =>
  error instanceof Error && 'code' in error && codes.includes(String(error.code));

/** Undefined where there is none. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** What a lock says; undefined for what a power cut has left of one. */
function ownerOf(text: string): Owner | undefined {
  try {
    return ownerSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function refuse(folder: string, text: string | undefined): void {
  const owner = text === undefined ? undefined : ownerOf(text);
  if (owner === undefined) return;
  const { pid, host, since } = owner;
  if (host !== hostname()) {
    throw new UserError(
      'usage',
      `${folder} is in use: process ${pid} on ${host} has had it since ${since}`,
      `Wait until it has ended. Whether it still runs cannot be seen from here: if it does not, delete ${join(folder, lockName)}`,
    );
  }
  if (!isRunning(owner)) return;
  throw new UserError(
    'usage',
    `${folder} is in use: process ${pid} has had it since ${since}`,
    `Wait until it has ended, or end it: kill ${pid} (it saves first); or name another --output.`,
  );
}

/** Removes the lock of a process that is gone, and no other: one that was faster may have taken its place. */
function takeAway(path: string, text: string | undefined): void {
  if (text === undefined) return;
  const taken = `${path}.${process.pid}.taken`;
  try {
    renameSync(path, taken);
  } catch (error) {
    if (isCode(error, 'ENOENT')) return;
    throw error;
  }
  if (read(taken) !== text) link(taken, path);
  rmSync(taken, { force: true });
}

/** The same number may be another process's by now. */
function isRunning({ pid, started }: Owner): boolean {
  if (startOf(process.pid) !== undefined) return startOf(pid) === started;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Of another user, then.
    return isCode(error, 'EPERM');
  }
}

/**
 * When a process was started, in clock ticks since the machine was (man 5 proc, field 22 of stat); undefined where it is
 * gone, and where the system does not say.
 */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the program's name, in parentheses, and may have blanks and parentheses in it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
