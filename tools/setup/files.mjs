import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { SetupError } from './errors.mjs';
import { megabytes } from './output.mjs';
import { throwIfInterrupted } from './processes.mjs';

/** Where downloads and compiled addons are kept for every checkout of this user. src/sources/pypi.ts has the same rule. */
export function cacheFolder() {
  const base = process.env.XDG_CACHE_HOME;
  // The XDG specification says to ignore a relative path.
  return path.join(base && path.isAbsolute(base) ? base : path.join(os.homedir(), '.cache'), 't4');
}

export function readJson(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch {
    return undefined; // absent, or cut short by a power failure: either way to be made again
  }
}

export function readText(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** The file is either the old one or the new one, never a part. */
export function writeWhole(file, text) {
  const beside = `${file}.${process.pid}.tmp`;
  fs.writeFileSync(beside, text);
  fs.renameSync(beside, file);
}

export function copyWhole(from, to) {
  const beside = `${to}.${process.pid}.tmp`;
  fs.copyFileSync(from, beside);
  fs.renameSync(beside, to);
}

/** A symbolic link to `target`, in the place of whatever link or folder was there. */
export function linkWhole(target, link) {
  const beside = `${link}.${process.pid}.tmp`;
  fs.rmSync(beside, { force: true });
  fs.symlinkSync(target, beside);
  if (fs.lstatSync(link, { throwIfNoEntry: false })?.isDirectory()) remove(link);
  fs.renameSync(beside, link);
}

export function remove(target) {
  fs.rmSync(target, { recursive: true, force: true });
}

/** Removes what a killed run left in `folder`: names that match `pattern`. Only for the holder of the lock. */
export function removeLeftovers(folder, pattern) {
  if (!fs.existsSync(folder)) return;
  for (const name of fs.readdirSync(folder)) if (pattern.test(name)) remove(path.join(folder, name));
}

export function sha256(text) {
  return crypto.createHash('sha256').update(text).digest('hex');
}

export async function sha256OfFile(file) {
  const hash = crypto.createHash('sha256');
  for await (const chunk of fs.createReadStream(file, { highWaterMark: 1 << 20 })) {
    hash.update(chunk);
    throwIfInterrupted();
  }
  return hash.digest('hex');
}

/** The bytes of all files under `folder`, which may be changing at the same time. */
export function folderBytes(folder) {
  let total = 0;
  try {
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
      const file = path.join(folder, entry.name);
      total += entry.isDirectory() ? folderBytes(file) : fs.lstatSync(file).size;
    }
  } catch {
    // Gone since it was listed.
  }
  return total;
}

/** Refuses before a download rather than in its middle. */
export function requireSpace(folder, bytes, what) {
  const { bavail, bsize } = fs.statfsSync(folder);
  const free = bavail * bsize;
  if (free >= bytes) return;
  throw new SetupError(
    'files',
    `not enough disk space for ${what}: ${megabytes(free)} are free in ${folder}, ${megabytes(bytes)} are needed.`,
    ['Free some space, or set XDG_CACHE_HOME to a folder on a larger disk, and run the command again.'],
  );
}

/** Path, size and time of change of every file under `folders` that `matches`: enough to notice an edit cheaply. */
export function fingerprint(root, folders, matches) {
  const lines = [];
  const visit = (folder) => {
    for (const entry of fs.readdirSync(path.join(root, folder), { withFileTypes: true })) {
      const file = `${folder}/${entry.name}`;
      if (entry.isDirectory()) visit(file);
      else if (matches(entry.name)) {
        const { size, mtimeMs } = fs.statSync(path.join(root, file));
        lines.push(`${file} ${size} ${mtimeMs}`);
      }
    }
  };
  for (const folder of folders) if (fs.existsSync(path.join(root, folder))) visit(folder);
  return lines.sort().join('\n');
}
