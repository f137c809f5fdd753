import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { UserError } from '../errors.js';
import { readSmallFile } from '../small-file.js';
import { printable } from './file-bytes.js';

// Real files have ten levels; what works through a value recursively ends at some thousands.
const maxDepth = 100;

/**
 * Reads a JSON file.
 *
 * @throws UserError 'files' with the message `absent` where there is none, and for one that is damaged or far larger or
 *   deeper than any real one
 */
export function readJson(path: string, absent: string): unknown {
  if (!existsSync(path)) throw new UserError('files', absent);
  // A mark of the byte order comes from editors on Windows.
  const text = readSmallFile(path)
    .toString('utf8')
    .replace(/^\uFEFF/, '');
  try {
    const value: unknown = JSON.parse(text);
    if (depthOf(text) <= maxDepth) return value;
  } catch (error) {
    throw new UserError('files', `${path}: ${error instanceof Error ? printable(error.message) : 'not JSON'}`);
  }
  throw new UserError('files', `${path}: lists and objects more than ${maxDepth} deep in each other`);
}

/** How deep lists and objects lie in each other, in text that JSON.parse accepts. */
function depthOf(json: string): number {
  let [depth, deepest] = [0, 0];
  for (let i = 0; i < json.length; i++) {
    switch (json.charCodeAt(i)) {
      case 0x22: // "
        for (i++; json[i] !== '"'; i++) if (json[i] === '\\') i++;
        break;
      case 0x5b: // [
      case 0x7b: // {
        deepest = Math.max(deepest, ++depth);
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
        break;
    }
  }
  return deepest;
}

/** Writes a JSON file beside and renames it into place. */
export function writeJson(path: string, value: unknown): void {
  writeFileSync(`${path}.partial`, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(`${path}.partial`, path);
}
