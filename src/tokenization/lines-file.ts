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
  const text = readUtf8(path);
  checkCount(path, text);
  const lines = text.replace(/^\uFEFF/u, '').split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
}

// Twice as many as the largest vocabulary has tokens; an empty line takes a hundred times its byte in memory.
const maxLines = 2 ** 21;

function checkCount(path: string, text: string): void {
  let count = 0;
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) count++;
  if (count > maxLines) throw new UserError('files', `${path} has ${count} lines, expected at most ${maxLines}`);
}

function readUtf8(path: string): string {
  const bytes = readSmallFile(path);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new UserError('files', `${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
