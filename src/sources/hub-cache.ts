import { randomBytes } from 'node:crypto';
import { constants, existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { copyFile, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { UserError } from '../errors.js';
import { missingPart } from './hub-files.js';

/**
 * The cache of Python's huggingface_hub, shared with it:
 * `models--owner--name/{blobs/<etag>, refs/<revision>, snapshots/<commit>/<file> -> ../../blobs/<etag>}`.
 */

/** A commit's name; also that of a folder, so nothing else may pass for one. */
export function isCommit(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}

export function repositoryFolder(cacheFolder: string, repository: string): string {
  return join(cacheFolder, `models--${repository.replace('/', '--')}`);
}

export function snapshotFolder(folder: string, commit: string): string {
  return join(folder, 'snapshots', commit);
}

/** The snapshot of a revision, if there is one that has weights and configuration. */
export function cachedSnapshot(folder: string, revision: string): string | undefined {
  const commit = isCommit(revision) ? revision : readRef(folder, revision);
  if (commit === undefined) return undefined;
  const snapshot = snapshotFolder(folder, commit);
  return missingPart(cachedFiles(snapshot)) === undefined ? snapshot : undefined;
}

/** The names in a snapshot whose content is there too; none where there is no such folder. */
export function cachedFiles(snapshot: string): string[] {
  if (!existsSync(snapshot)) return [];
  return readdirSync(snapshot).filter((name) => existsSync(join(snapshot, name)));
}

/** Whether a file is there, through its link, with this size. */
export function isCached(path: string, size: number): boolean {
  return statSync(path, { throwIfNoEntry: false })?.size === size;
}

function readRef(folder: string, revision: string): string | undefined {
  const path = join(folder, 'refs', revision);
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return undefined;
  const commit = readFileSync(path, 'utf8').trim();
  return isCommit(commit) ? commit : undefined;
}

/** Remembers which commit a branch or tag is at. A commit needs no such note. */
export async function writeRef(folder: string, revision: string, commit: string): Promise<void> {
  if (isCommit(revision) || readRef(folder, revision) === commit) return;
  const path = join(folder, 'refs', revision);
  await mkdir(dirname(path), { recursive: true });
  await replace(path, (temporary) => writeFile(temporary, commit));
}

export const roomHint =
  'Make room and run the same command again (what has arrived is kept), or set HF_HOME to a folder on another disk.';

const refusals = ['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EISDIR', 'EEXIST'];

/** What the system says against the cache folder, as a UserError; undefined for all other errors. */
export function cacheRefusal(error: unknown, cacheFolder: string): UserError | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return undefined;
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT') {
    return new UserError('files', `no room left for the cache, ${cacheFolder}: ${error.message}`, roomHint);
  }
  if (!refusals.includes(String(error.code))) return undefined;
  return new UserError(
    'files',
    `the cache, ${cacheFolder}, cannot be used: ${error.message}`,
    'Set HF_HOME to a folder that may be written to.',
  );
}

/** Makes a blob appear in a snapshot: a relative link, or a copy where the file system has no links. */
export async function linkBlob(snapshot: string, name: string, blob: string, symlinks: boolean): Promise<void> {
  const path = join(snapshot, name);
  await mkdir(snapshot, { recursive: true });
  const copy = (temporary: string): Promise<void> => copyFile(blob, temporary, constants.COPYFILE_FICLONE);
  if (!symlinks) {
    await replace(path, copy);
    return;
  }
  await replace(path, async (temporary) => {
    try {
      await symlink(relative(snapshot, blob), temporary);
    } catch (error) {
      if (!isWithoutLinks(error)) throw error;
      await copy(temporary);
    }
  });
}

const codesWithoutLinks = ['EPERM', 'EACCES', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EINVAL'];

function isWithoutLinks(error: unknown): boolean {
  return error instanceof Error && 'code' in error && codesWithoutLinks.includes(String(error.code));
}

/** Makes a file under another name first, so that whoever reads `path` sees the old one or the new one, whole. */
async function replace(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await make(temporary);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
