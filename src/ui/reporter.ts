import { harmless } from './harmless.js';
import { plainSurface } from './plain.js';
import { terminalSurface } from './terminal.js';

/** Further values of a progress line, such as `{ loss: '0.4321' }`, shown in this order. */
export type Payload = Readonly<Record<string, string | number>>;

/** A short wait of unknown length. Not for training: the native call blocks the thread that animates it. */
export interface Spinner {
  succeed(text: string): void;
  fail(text: string): void;
  /** Takes the spinner away without a word, where an error is about to be reported. */
  stop(): void;
}

/** Progress over a known number of steps; the caller calls `update` after each, so blocking native calls do no harm. */
export interface Bar {
  update(done: number, payload?: Payload): void;
  stop(): void;
}

/** Where a command says what it does: results to stdout, all else to stderr. */
export interface Reporter {
  info(line: string): void;
  warn(line: string): void;
  spinner(text: string): Spinner;
  /** @param start steps that were done before this run (a resume), left out of the estimate of time left */
  bar(total: number, label: string, start?: number): Bar;
  /** The result as text, to stdout; says nothing with --json. */
  result(text: string): void;
  /** The result as one JSON document, to stdout; says nothing without --json. Commands call both. */
  json(value: unknown): void;
}

/** The outside world of a command; tests pass their own. */
export interface Io {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  readonly env: Readonly<Record<string, string | undefined>>;
  /** milliseconds; only differences count */
  now(): number;
}

export interface ReporterSettings {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** What differs between a terminal and a log file. */
export interface Surface {
  line(text: string): void;
  warn(text: string): void;
  spinner(text: string): Spinner;
  bar(total: number, label: string, start: number): Bar;
}

export function processIo(): Io {
  return { stdout: process.stdout, stderr: process.stderr, env: process.env, now: () => performance.now() };
}

export function createReporter(settings: ReporterSettings = {}, io: Io = processIo()): Reporter {
  const surface = isLiveTerminal(io) ? terminalSurface(io) : plainSurface(io);
  const quiet = settings.quiet === true;
  let documents = 0;
  return {
    info: (line) => {
      if (!quiet) surface.line(harmless(line));
    },
    warn: (line) => {
      surface.warn(harmless(line));
    },
    spinner: (text) => (quiet ? quietSpinner(surface) : surface.spinner(text)),
    bar: (total, label, start = 0) => (quiet ? quietBar : surface.bar(total, label, start)),
    result: (text) => {
      if (settings.json !== true) io.stdout.write(`${harmless(text)}\n`);
    },
    json: (value) => {
      if (settings.json !== true) return;
      documents += 1;
      if (documents > 1) throw new Error('a command wrote a second JSON document');
      io.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
    },
  };
}

/**
 * Bars and spinners only where somebody watches: a terminal that can move its cursor, and no CI log. One of 0 columns is
 * no screen but a program's pty, and ora divides by its width.
 */
export function isLiveTerminal(io: Io): boolean {
  const ci = io.env.CI;
  return (
    io.stderr.isTTY === true &&
    io.stderr.columns !== 0 &&
    (ci === undefined || ci === '' || ci === 'false') &&
    io.env.TERM !== 'dumb'
  );
}

const quietBar: Bar = { update: () => undefined, stop: () => undefined };

/** --quiet hides the wait, not its failure. */
function quietSpinner(surface: Surface): Spinner {
  return {
    succeed: () => undefined,
    fail: (text) => {
      surface.line(text);
    },
    stop: () => undefined,
  };
}
