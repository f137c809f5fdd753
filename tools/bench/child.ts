import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { z } from 'zod';

/** Python of the comparison; `npm run bench` makes .venv. */
export const python = process.env.T4_PYTHON ?? '.venv/bin/python';

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  /** Besides this process's own. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A script of tools/bench/reference with its settings as JSON. */
export const pythonCommand = (script: string, settings: unknown): Command => ({
  program: python,
  args: [`tools/bench/reference/${script}`, JSON.stringify(settings)],
});

/** A compiled script beside this one with its settings as JSON. */
export const nodeCommand = (script: string, settings: unknown): Command => ({
  program: process.execPath,
  args: ['--enable-source-maps', fileURLToPath(new URL(script, import.meta.url)), JSON.stringify(settings)],
});

function start({ program, args, env: own }: Command, device: 'cpu' | 'gpu'): { child: ChildProcess; output: string[] } {
  const env = {
    ...process.env,
    HF_HUB_OFFLINE: '1',
    TOKENIZERS_PARALLELISM: 'false',
    ...(device === 'cpu' ? { CUDA_VISIBLE_DEVICES: '-1' } : {}),
    ...own,
  };
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  const output: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => output.push(text));
  return { child, output };
}

function failure({ program, args }: Command, code: number | null, output: readonly string[]): Error {
  return new Error(`${program} ${args.slice(0, 2).join(' ')} ended with ${code ?? 'a signal'}:\n${output.join('')}`);
}

/** A process that answers lines of JSON with lines of JSON. */
export class Worker {
  private readonly child: ChildProcess;
  private readonly output: string[];
  private readonly lines: AsyncIterator<string, undefined>;
  private readonly ended: Promise<number | null>;

  constructor(
    private readonly command: Command,
    device: 'cpu' | 'gpu',
  ) {
    ({ child: this.child, output: this.output } = start(command, device));
    // A process that ended early is reported where its answer is awaited, with what it said.
    this.child.stdin!.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      this.child.on('error', () => {
        resolve(null);
      });
      this.child.on('close', resolve);
    });
    this.lines = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
  }

  /** The next line, which must be `schema`'s. */
  async read<T>(schema: z.ZodType<T>): Promise<T> {
    const { value } = await this.lines.next();
    if (value === undefined) throw failure(this.command, await this.ended, this.output);
    return schema.parse(JSON.parse(value));
  }

  ask<T>(request: unknown, schema: z.ZodType<T>): Promise<T> {
    this.child.stdin!.write(`${JSON.stringify(request)}\n`);
    return this.read(schema);
  }

  peakBytes(): number {
    return peakBytesOf(this.child.pid!);
  }

  async end(): Promise<void> {
    this.child.stdin!.end();
    await this.ended;
  }
}

/** Resident memory at its highest so far, in bytes; 0 where the process is gone. Linux. */
export function peakBytesOf(pid: number): number {
  try {
    const match = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return match === null ? 0 : Number(match[1]) * 1024;
  } catch {
    return 0;
  }
}

export interface Finished {
  /** From the start of the process to its end. */
  readonly seconds: number;
  readonly peakBytes: number;
  readonly stdout: string;
}

/**
 * Runs a program to its end. Memory is looked at five times a second.
 *
 * @param look called as often, with the seconds since the start
 */
export async function runToEnd(
  command: Command,
  device: 'cpu' | 'gpu',
  look?: (seconds: number) => void,
): Promise<Finished> {
  const began = performance.now();
  const { child, output } = start(command, device);
  child.stdin!.end();
  let stdout = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  let code: number | null | undefined;
  let seconds = 0;
  const settle = (result: number | null): void => {
    code = result;
    seconds = (performance.now() - began) / 1000;
  };
  child.on('error', () => {
    settle(null);
  });
  child.on('close', settle);
  let peakBytes = 0;
  while (code === undefined) {
    peakBytes = Math.max(peakBytes, peakBytesOf(child.pid ?? 0));
    look?.((performance.now() - began) / 1000);
    await sleep(200);
  }
  if (code !== 0) throw failure(command, code, output);
  return { seconds, peakBytes, stdout };
}
