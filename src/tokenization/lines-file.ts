import { UserError } from '../errors.js';
import { readSmallFile } from '../small-file.js';

/**
 * Lines of a vocabulary's file.
 *
 * Only \n ends a line and nothing is trimmed: bert-base-chinese has U+2028 as a token, and dropping it would shift
 * every later id. A \r before the \n comes from a checkout on Windows.
 *
 * @throws UserError 'files' when the file cannot be read as UTF-8
 */
export function readLines(path: string): string[] {
  const lines = readUtf8(path)
    .replace(/^\uFEFF/u, '')
    .split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
}

function readUtf8(path: string): string {
  const bytes = readSmallFile(path);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new UserError('files', `${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
