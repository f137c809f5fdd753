// Everything goes to stderr: bin/t4.mjs runs the set-up before a command whose stdout may be piped on.
import { clearInterval, setInterval } from 'node:timers';

let quiet = false;

export function setQuiet(value) {
  quiet = value;
}

export function say(text) {
  if (!quiet) process.stderr.write(`${text}\n`);
}

function terminal() {
  return process.stderr.isTTY === true && process.env.TERM !== 'dumb' && !process.env.CI;
}

/**
 * Shows how far a long action is: a line that rewrites itself on a terminal, a plain line every ten seconds elsewhere.
 * @template T
 * @param {() => string} describe called for each redraw
 * @param {() => Promise<T>} action
 * @returns {Promise<T>}
 */
export async function withProgress(describe, action) {
  if (quiet) return action();
  const live = terminal();
  const show = () => process.stderr.write(live ? `\r  ${describe()}\x1b[K` : `  ${describe()}\n`);
  const timer = setInterval(show, live ? 250 : 10_000);
  try {
    return await action();
  } finally {
    clearInterval(timer);
    if (live) process.stderr.write('\r\x1b[K');
  }
}

export function megabytes(bytes) {
  return `${Math.round(bytes / 1e6)} MB`;
}
