import type { Argv } from 'yargs';
import type { Flags } from './flags.js';
import type { Io, Reporter } from '../ui/reporter.js';

/** What a parsed command line asks for; the heavy modules are imported only when this runs. Resolves to the exit code. */
export type Invocation = (io: Io) => Promise<number>;

/** What a command's parser tells the command line: first `check`, then `choose`. */
export interface CommandLine {
  /** Refuses what yargs lets pass. @param words how many words name the command: 2 for `config show` */
  check(argv: Readonly<Record<string, unknown>>, flags: Flags, words?: number): void;
  choose(invocation: Invocation): void;
}

/** Adds one command to the parser. */
export type AddCommand = (parser: Argv, line: CommandLine) => Argv;

/** Runs a command's plain function with a reporter made from its common flags. */
export function withReporter(
  settings: { readonly json: boolean; readonly quiet: boolean },
  run: (ui: Reporter) => number | Promise<number>,
): Invocation {
  return async (io) => {
    const { createReporter } = await import('../ui/reporter.js');
    return run(createReporter(settings, io));
  };
}
