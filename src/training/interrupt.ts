/** 130 and 143: 128 + the signal's number, as shells report it. */
const exitCodeOf = { SIGINT: 130, SIGTERM: 143 } as const;

export interface InterruptWatch {
  /** The exit code to end with, once a signal has come. */
  readonly exitCode: number | undefined;
  /** Lets a signal that arrived during a native call be seen. */
  poll(): Promise<void>;
  stop(): void;
}

/**
 * Turns the first SIGINT or SIGTERM into a request that the training loop reads between two steps. A second one ends
 * the process at once, after `onSecond`, which may tidy the terminal.
 */
export function watchInterrupts(onFirst: (signal: string) => void, onSecond: () => void): InterruptWatch {
  let exitCode: number | undefined;
  const listener = (signal: NodeJS.Signals): void => {
    const code = exitCodeOf[signal === 'SIGTERM' ? 'SIGTERM' : 'SIGINT'];
    if (exitCode !== undefined) {
      onSecond();
      process.exit(code);
    }
    exitCode = code;
    onFirst(signal);
  };
  process.on('SIGINT', listener);
  process.on('SIGTERM', listener);
  return {
    get exitCode() {
      return exitCode;
    },
    poll: () => new Promise((resolve) => setImmediate(resolve)),
    stop: () => {
      process.off('SIGINT', listener);
      process.off('SIGTERM', listener);
    },
  };
}
