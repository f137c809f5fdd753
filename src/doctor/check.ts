import { type SpawnOptions, spawn } from 'node:child_process';

/** One line of `t4 doctor`. */
export interface Check {
  readonly name: string;
  /** fail: t4 cannot train or test here; warn: it can, but not as it should */
  readonly status: 'ok' | 'warn' | 'fail';
  readonly detail: string;
  /** what to do about it */
  readonly fix?: string;
}

export interface Finished {
  /** null when it was ended by a signal or could not be started */
  readonly code: number | null;
  readonly signal: string | null;
  /** the errno of a program that could not be started: ENOENT when there is none of that name */
  readonly failure: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

const timeLimitMs = 60_000;

/** Runs a program to its end; never throws, whatever becomes of it. */
export function runProgram(command: string, args: readonly string[], options: SpawnOptions = {}): Promise<Finished> {
  return new Promise((resolve) => {
    let stdout = '';
    let stderr = '';
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'], timeout: timeLimitMs });
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('error', (error: NodeJS.ErrnoException) => {
      resolve({ code: null, signal: null, failure: error.code ?? error.message, stdout, stderr });
    });
    child.on('close', (code, signal) => {
      resolve({ code, signal, failure: undefined, stdout, stderr });
    });
  });
}
