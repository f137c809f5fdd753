import cliProgress from 'cli-progress';
import ora from 'ora';
import { progressText } from './progress.js';
import type { Bar, Io, Payload, Spinner, Surface } from './reporter.js';
import { cutColumns } from './table.js';

const barWidth = 20;
const eraseLine = '\r\u001b[2K';
/** cli-progress goes back to the last saved position when a bar stops: saved anew whenever the bar has moved down. */
const saveCursor = '\u001b7';

/** The spinner or bar that owns the last line of the terminal; messages are written above it. */
interface Live {
  clear(): void;
  redraw(): void;
}

interface Screen {
  readonly io: Io;
  live: Live | undefined;
}

/** Messages for a terminal. Cursor and line wrapping are left alone, so a killed run leaves a sane terminal. */
export function terminalSurface(io: Io): Surface {
  const screen: Screen = { io, live: undefined };
  return {
    line: (text) => {
      writeAbove(screen, text);
    },
    warn: (text) => {
      writeAbove(screen, `${paint(io, 33, 'warning:')} ${text}`);
    },
    spinner: (text) => terminalSpinner(screen, text),
    bar: (total, label, start) => terminalBar(screen, { total, label, start }),
  };
}

function writeAbove(screen: Screen, text: string): void {
  screen.live?.clear();
  screen.io.stderr.write(`${text}\n`);
  screen.live?.redraw();
}

function terminalSpinner(screen: Screen, text: string): Spinner {
  const { io } = screen;
  // discardStdin would put stdin into raw mode, where Ctrl-C no longer reaches a blocked process.
  const spinner = ora({
    text,
    stream: io.stderr,
    isEnabled: true,
    discardStdin: false,
    hideCursor: false,
    color: useColor(io) ? 'cyan' : false,
  });
  spinner.start();
  const live: Live = {
    clear: () => {
      spinner.clear();
    },
    redraw: () => {
      spinner.render();
    },
  };
  screen.live = live;
  const end = (symbol: string, message: string): void => {
    if (screen.live === live) screen.live = undefined;
    spinner.stopAndPersist({ symbol, text: message });
  };
  return {
    succeed: (message) => {
      end(paint(io, 32, '✔'), message);
    },
    fail: (message) => {
      end(paint(io, 31, '✖'), message);
    },
    stop: () => {
      if (screen.live === live) screen.live = undefined;
      spinner.stop();
    },
  };
}

function terminalBar(screen: Screen, settings: { total: number; label: string; start: number }): Bar {
  const { io } = screen;
  const began = io.now();
  let done = settings.start;
  let payload: Payload = {};
  const render = (): string => {
    const seconds = (io.now() - began) / 1000;
    const share = settings.total > 0 ? Math.min(1, done / settings.total) : 1;
    const filled = Math.round(share * barWidth);
    const drawn = `${'█'.repeat(filled)}${'░'.repeat(barWidth - filled)}`;
    const text = `${settings.label} ${drawn} ${progressText({ ...settings, done, seconds, payload })}`;
    return cutColumns(text, (io.stderr.columns ?? 80) - 1);
  };
  const bar = new cliProgress.SingleBar({
    format: render,
    stream: io.stderr,
    // Redraws inside update() as well as by timer: while training, the timer hardly ever gets its turn.
    synchronousUpdate: true,
    fps: 8,
    hideCursor: false,
    linewrap: true, // leave the terminal's setting; the text is cut to the width above
    // Signals belong to the command, which saves a checkpoint first.
    gracefulExit: false,
    forceRedraw: true,
  });
  bar.start(settings.total, settings.start);
  const live: Live = {
    clear: () => {
      io.stderr.write(eraseLine);
    },
    redraw: () => {
      io.stderr.write(saveCursor + render());
    },
  };
  screen.live = live;
  return {
    update: (newDone, newPayload = payload) => {
      done = newDone;
      payload = newPayload;
      bar.update(newDone);
    },
    stop: () => {
      if (screen.live !== live) return;
      screen.live = undefined;
      bar.stop();
    },
  };
}

function useColor(io: Io): boolean {
  const noColor = io.env.NO_COLOR;
  return noColor === undefined || noColor === '';
}

/** @param code an SGR colour: 31 red, 32 green, 33 yellow */
function paint(io: Io, code: number, text: string): string {
  return useColor(io) ? `\u001b[${code}m${text}\u001b[39m` : text;
}
