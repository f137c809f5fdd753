import { once } from 'node:events';
import { closeSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { UserError } from '../errors.js';
import type { Result, Summary } from './answers.js';

/** Takes results as they are computed. */
export interface PredictOutput {
  write(results: readonly Result[]): void | Promise<void>;
  /** All is written. `summary` is what --json says besides. */
  finish(summary: Summary): void | Promise<void>;
  /** Nothing more comes: an unfinished file is taken away. */
  discard(): void;
}

const lineOf = (result: Result): string => `${JSON.stringify(result)}\n`;

/** Waits where the reader is slower: results never pile up in memory. */
async function write(stdout: NodeJS.WritableStream, text: string): Promise<void> {
  if (text !== '' && !stdout.write(text)) await once(stdout, 'drain');
}

/** Results as text, by default one JSON object a line. */
export function linesOutput(stdout: NodeJS.WritableStream, format: (result: Result) => string = lineOf): PredictOutput {
  return {
    write: (results) => write(stdout, results.map(format).join('')),
    finish: () => undefined,
    discard: () => undefined,
  };
}

/** One JSON document: `{ predictions: [...], ...summary }`. */
export function documentOutput(stdout: NodeJS.WritableStream): PredictOutput {
  let before = '{"predictions": [\n';
  return {
    async write(results) {
      for (const result of results) {
        await write(stdout, before + JSON.stringify(result));
        before = ',\n';
      }
    },
    finish: (summary) => write(stdout, `\n],\n${JSON.stringify(summary).slice(1)}\n`),
    discard: () => undefined,
  };
}

/**
 * A file of one JSON object a line, written beside and renamed when it is complete; a pipe or a device is written to as
 * it is.
 *
 * @throws UserError 'files' where it cannot be written
 */
export function fileOutput(path: string): PredictOutput {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory() === true) throw new UserError('files', `--output: ${path} is a folder, expected a file`);
  const beside = found === undefined || found.isFile();
  const target = beside ? `${path}.partial` : path;
  const file = openToWrite(target);
  let isOpen = true;
  const close = (): void => {
    if (isOpen) closeSync(file);
    isOpen = false;
  };
  return {
    write(results) {
      writeWhole(file, results.map(lineOf).join(''));
    },
    finish() {
      close();
      if (beside) renameSync(target, path);
    },
    discard() {
      close();
      if (beside) rmSync(target, { force: true });
    },
  };
}

function openToWrite(path: string): number {
  try {
    return openSync(path, 'w');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UserError('files', `--output: ${reason}`, 'Name a file in a folder that exists.');
  }
}

/** A write may take a part only. */
function writeWhole(file: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done);
}
