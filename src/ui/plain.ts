import { progressText } from './progress.js';
import type { Bar, Io, Payload, Surface } from './reporter.js';

/** The least time between two progress lines of one bar. */
const secondsBetweenLines = 5;

/** Messages for a log file or a pipe: whole lines, no control characters. */
export function plainSurface(io: Io): Surface {
  const line = (text: string): void => {
    io.stderr.write(`${text}\n`);
  };
  return {
    line,
    warn: (text) => {
      line(`warning: ${text}`);
    },
    spinner: (text) => {
      line(`${text} ...`);
      return { succeed: line, fail: line, stop: () => undefined };
    },
    bar: (total, label, start) => plainBar(io, line, { total, label, start }),
  };
}

/** A line every few seconds and one at the end; a bar that is over sooner prints only the last. */
function plainBar(io: Io, line: (text: string) => void, bar: { total: number; label: string; start: number }): Bar {
  const began = io.now();
  let printedAt = began;
  let printedDone = bar.start;
  let done = bar.start;
  let payload: Payload = {};
  let stopped = false;
  const print = (): void => {
    const seconds = (io.now() - began) / 1000;
    line(`${bar.label}  ${progressText({ ...bar, done, seconds, payload })}`);
    printedAt = io.now();
    printedDone = done;
  };
  return {
    update: (newDone, newPayload = payload) => {
      done = newDone;
      payload = newPayload;
      if (io.now() - printedAt >= secondsBetweenLines * 1000) print();
    },
    stop: () => {
      if (!stopped && done !== printedDone) print();
      stopped = true;
    },
  };
}
