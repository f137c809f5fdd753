import { Readable } from 'node:stream';
import { readPieces } from '../data/blocks.js';
import { findDataFile } from '../data/file.js';
import type { Reporter } from '../ui/reporter.js';
import type { PredictOptions } from './options.js';

/** Where the texts come from. */
export interface PredictInput {
  /** For messages. */
  readonly name: string;
  /** Whether it can be read twice: then it is checked whole before anything is computed. */
  readonly repeatable: boolean;
  open(): Readable;
}

/** Throws UserError 'data' for a file that is not there. */
export function openInput({ text, input }: PredictOptions, ui: Reporter): PredictInput {
  if (text !== undefined) {
    return { name: '--text', repeatable: true, open: () => Readable.from([Buffer.from(text)]) };
  }
  if (input !== '-') {
    return { name: input, repeatable: findDataFile(input).isFile(), open: () => readPieces(input) };
  }
  return {
    name: 'stdin',
    repeatable: false,
    open: () => {
      if (process.stdin.isTTY) ui.info('reading from the terminal: one text a line, Ctrl-D ends');
      return process.stdin;
    },
  };
}
