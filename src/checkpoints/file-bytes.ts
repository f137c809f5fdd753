import { openSync, readSync, statSync, writeSync } from 'node:fs';
import { UserError } from '../errors.js';

/** Reading and writing files of tensors: whole ranges, and what to say where the bytes are not what they should be. */

export const damagedFile = (path: string, what: string): UserError =>
  new UserError('files', `${path}: ${what}`, 'The file is damaged or was not downloaded completely: fetch it again.');

/** Throws UserError 'files' where a file begins as what Git LFS leaves in place of one that was not fetched. */
export function refuseGitLfs(path: string, start: Buffer): void {
  if (!start.toString('latin1').startsWith('version https://git-lfs')) return;
  const what = 'the place holder of a file in Git LFS, not the file';
  throw new UserError('files', `${path}: ${what}`, 'Fetch the file itself: git lfs pull.');
}

const mostShown = 200;

/** A name from a file for a message: cut, and without characters that a terminal would obey. */
export function printable(name: string): string {
  const cut = name.length > mostShown ? `${name.slice(0, mostShown)}...` : name;
  return cut.replace(/\p{Cc}/gu, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** The size of a regular file. Throws UserError 'files' where there is none, or something else bears its name. */
export function fileSize(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw new UserError('files', `${path} does not exist`);
  if (!found.isFile()) throw new UserError('files', `${path} is not a regular file`);
  return found.size;
}

/** Opens a file for reading; throws as fileSize. */
export function openForReading(path: string): number {
  fileSize(path);
  return openSync(path, 'r');
}

// The system reads and writes at most 2 GiB in one call.
const maxTransfer = 1 << 30;

/** Fills `bytes` from `position` on. Throws UserError 'files' where the file ends before. */
export function readFully(path: string, file: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length;) {
    const got = readSync(file, bytes, done, Math.min(bytes.length - done, maxTransfer), position + done);
    if (got === 0) throw damagedFile(path, `the file ends at byte ${position + done}, before a tensor does`);
    done += got;
  }
}

export function writeFully(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(file, bytes, done, Math.min(bytes.length - done, maxTransfer));
  }
}
