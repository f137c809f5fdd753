import { createHash, randomBytes } from 'node:crypto';
import { readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

/**
 * Half-downloaded blobs. One that nobody works on is `<etag>.incomplete`; a process takes it by renaming it to
 * `<etag>.<host>-<pid>-<random>.incomplete`, which at most one process succeeds in. So no two ever write to the same
 * file, without locks, which not every file system honours. A process that was killed leaves its name behind: the next
 * one sees that the process is gone and takes the file over. Where all this goes wrong, a file is fetched twice.
 */

const ownHost = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);

/** Longer than any download goes without writing: a file that old belongs to nobody, whatever its name says. */
const abandonedAfter = 60 * 60_000;

/** A file that is older has an owner who waits or hangs, and is not worth waiting for. */
const busyWithin = 60_000;

/** The files that this process works on. */
const ours = new Set<string>();

/** A file that belongs to this process, or word that another one is at work. */
export type Claim = { readonly path: string } | { readonly busy: number };

interface Partial {
  readonly name: string;
  readonly size: number;
  /** milliseconds since it was written to */
  readonly age: number;
  /** The process that has it; undefined: none. */
  readonly owner: number | undefined;
}

/** Takes over what there is of a blob, or begins it. @returns `busy`: the process that is downloading it */
export async function claimPartial(blobs: string, etag: string): Promise<Claim> {
  for (;;) {
    const found = await partialsOf(blobs, etag);
    const busy = found.find(isBusy)?.owner;
    if (busy !== undefined) return { busy };
    const [largest, ...rest] = found.filter(isFree).sort((a, b) => b.size - a.size);
    const source = join(blobs, largest?.name ?? `${etag}.incomplete`);
    if (largest === undefined) {
      // Whoever has made this file looks once more: two that saw nothing do not both begin.
      if (!(await made(source)) || (await partialsOf(blobs, etag)).some(isBusy)) continue;
    }
    const path = await take(source, blobs, etag);
    if (path === undefined) continue;
    for (const { name } of rest) await rm(join(blobs, name), { force: true });
    return { path };
  }
}

/** Undefined where another process was faster. */
async function take(source: string, blobs: string, etag: string): Promise<string | undefined> {
  const path = join(blobs, `${etag}.${ownHost}-${process.pid}-${randomBytes(4).toString('hex')}.incomplete`);
  // Known as ours before it exists, lest another download in this process takes it for a dead one's.
  ours.add(path);
  // Its age is that of our work on it, not of what was there before.
  if ((await touched(source)) && (await renamed(source, path))) return path;
  ours.delete(path);
  return undefined;
}

/** Leaves a file to whoever continues it. */
export async function releasePartial(path: string, blobs: string, etag: string): Promise<void> {
  await renamed(path, join(blobs, `${etag}.incomplete`));
  ours.delete(path);
}

/** The file is complete: under its own name from now on. */
export async function completePartial(path: string, blob: string): Promise<void> {
  await rename(path, blob);
  // What others began in vain.
  await rm(`${blob}.incomplete`, { force: true });
  ours.delete(path);
}

export async function dropPartial(path: string): Promise<void> {
  await rm(path, { force: true });
  ours.delete(path);
}

async function partialsOf(blobs: string, etag: string): Promise<Partial[]> {
  const found: Partial[] = [];
  for (const name of await readdir(blobs)) {
    if (!name.startsWith(`${etag}.`)) continue;
    const [, host, pid] = /^\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.incomplete$/.exec(name.slice(etag.length)) ?? [];
    const isClaimed = host !== undefined && pid !== undefined;
    // Other names are those of Python's library, which never continues its own; it may be writing to them.
    if (!isClaimed && name !== `${etag}.incomplete`) continue;
    const path = join(blobs, name);
    const info = await stat(path).catch(ignoreMissing);
    if (info === undefined) continue;
    const owner = isClaimed && isAlive(path, host, Number(pid)) ? Number(pid) : undefined;
    found.push({ name, size: info.size, age: Date.now() - info.mtimeMs, owner });
  }
  return found;
}

/** Whether the process that a file is named after can still be at work on it. */
function isAlive(path: string, host: string, pid: number): boolean {
  if (host !== ownHost) return true;
  // A process number comes back, in containers soon: ours on a file that we do not know was somebody else's.
  return pid === process.pid ? ours.has(path) : isRunning(pid);
}

const isBusy = ({ owner, age }: Partial): boolean => owner !== undefined && age < busyWithin;

const isFree = ({ owner, age }: Partial): boolean => owner === undefined || age >= abandonedAfter;

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: there is one, of another user.
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}

/** False where it is there already. */
async function made(path: string): Promise<boolean> {
  return succeeds(writeFile(path, '', { flag: 'wx' }), 'EEXIST');
}

/** False where the file has gone. */
async function touched(path: string): Promise<boolean> {
  const now = new Date();
  return succeeds(utimes(path, now, now), 'ENOENT');
}

/** False where the file has gone. */
async function renamed(from: string, to: string): Promise<boolean> {
  return succeeds(rename(from, to), 'ENOENT');
}

/** Whether it works out; the one failure that another process may cause is no error. */
async function succeeds(action: Promise<void>, expected: string): Promise<boolean> {
  try {
    await action;
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === expected) return false;
    throw error;
  }
}

function ignoreMissing(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
  throw error;
}
