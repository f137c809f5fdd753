import { mostShown, type Problem } from '../data/problems.js';
import { plural } from '../ui/format.js';
import type { Reporter } from '../ui/reporter.js';
import type { ErrorAnswer } from './answers.js';

/** One for each bad line, whatever is wrong with it, in the order of the file. */
export function errorsOf(problems: readonly Problem[]): ErrorAnswer[] {
  const messages = new Map<number, string>();
  for (const { line, message } of problems) {
    const before = messages.get(line);
    messages.set(line, before === undefined ? message : `${before}; ${message}`);
  }
  return [...messages].sort(([a], [b]) => a - b).map(([line, message]) => ({ error: { line, message } }));
}

/** Lines that are passed over: the first are told one by one, all are counted. */
export interface Skipped {
  readonly count: number;
  add(errors: readonly ErrorAnswer[]): void;
  /** Says how many there were. */
  report(): void;
}

/** @param name the input's, for messages */
export function createSkipped(name: string, ui: Reporter): Skipped {
  let count = 0;
  return {
    get count() {
      return count;
    },
    add(errors) {
      for (const { error } of errors) {
        count++;
        if (count <= mostShown) ui.warn(`${name}:${error.line}: ${error.message}; passed over`);
      }
    },
    report() {
      if (count > mostShown) ui.warn(`... and ${count - mostShown} more`);
      if (count > 0) ui.warn(`${plural(count, 'line')} passed over: each has an error in its place`);
    },
  };
}
