import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { UserError } from '../errors.js';

/** Whole records of a text file, as much of it as is in memory at a time. */
export interface Block {
  readonly bytes: Uint8Array;
  /** The line of the file that it begins with, from 1. */
  readonly line: number;
}

/** What is read of a file at once: some thousands of sentences. */
const readSize = 1 << 18;

/** Bytes of a file, piece by piece. The file exists: see readDataFile for what is said where it does not. */
export const readPieces = (path: string): Readable => createReadStream(path, { highWaterMark: readSize });

const longestRecord = 1 << 26;

const [newline, doubleQuote] = [0x0a, 0x22];

/**
 * Cuts a stream of bytes behind records, giving on whatever records are complete: a reader that waits for its input
 * keeps nobody waiting for what has come already.
 *
 * @param quoted whether a line break inside double quotes belongs to its record (CSV)
 * @throws UserError 'data' for a record that would not fit into memory
 */
export async function* readBlocks(
  pieces: AsyncIterable<Uint8Array>,
  name: string,
  quoted: boolean,
): AsyncGenerator<Block> {
  let rest: Uint8Array[] = [];
  let [size, line, inQuotes] = [0, 1, false];
  for await (const piece of pieces) {
    const cut = lastRecordEnd(piece, quoted, inQuotes);
    inQuotes = cut.inQuotes;
    if (cut.end > 0) {
      const bytes = Buffer.concat([...rest, piece.subarray(0, cut.end)]);
      yield { bytes, line };
      line += countLines(bytes);
      [rest, size] = [[], 0];
    }
    if (cut.end < piece.length) rest.push(piece.subarray(cut.end));
    size += piece.length - cut.end;
    if (size > longestRecord) {
      const what = quoted ? 'a row (a " that is never closed?)' : 'a line';
      throw new UserError('data', `${name}:${line}: got more than ${longestRecord / 2 ** 20} MiB in ${what}`);
    }
  }
  if (size > 0) yield { bytes: Buffer.concat(rest), line };
}

/** Where the last complete record of a piece ends; 0: in a later piece. */
function lastRecordEnd(piece: Uint8Array, quoted: boolean, inQuotes: boolean): { end: number; inQuotes: boolean } {
  if (!quoted) return { end: piece.lastIndexOf(newline) + 1, inQuotes: false };
  let [end, inside] = [0, inQuotes];
  for (let i = 0; i < piece.length; i++) {
    // A doubled quote closes and opens again: nothing comes between.
    if (piece[i] === doubleQuote) inside = !inside;
    else if (piece[i] === newline && !inside) end = i + 1;
  }
  return { end, inQuotes: inside };
}

function countLines(bytes: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline, at + 1)) count++;
  return count;
}
