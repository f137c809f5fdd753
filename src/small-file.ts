import { readFileSync, statSync } from 'node:fs';
import { UserError } from './errors.js';

// The largest of these are tokenizers, of up to 20 MB; what is made of them takes many times as much memory.
const maxBytes = 2 ** 25;

/**
 * Reads a file that belongs into memory as a whole: a configuration, a vocabulary.
 *
 * @throws UserError 'files' where something else than a file bears its name, or it is far larger than any real one
 */
export function readSmallFile(path: string): Buffer {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw new UserError('files', `${path} does not exist`);
  // A device has no end, and a pipe is waited for.
  if (!found.isFile()) throw new UserError('files', `${path} is not a regular file`);
  if (found.size > maxBytes)
    throw new UserError('files', `${path} has ${found.size} bytes, expected at most ${maxBytes}`);
  return readFileSync(path);
}
