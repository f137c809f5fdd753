import { spawn, type ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { main } from '../../src/cli.js';

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

class Sink extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

/** One command line, in this process. */
export async function t4(...argv: string[]): Promise<Ran> {
  const stdout = new Sink();
  const stderr = new Sink();
  const code = await main(argv, { stdout, stderr, env: {}, now: () => performance.now() });
  return { code, stdout: stdout.text, stderr: stderr.text };
}

/** A script that does what `bin/t4.mjs` does once everything is set up; its name is what printed commands begin with. */
export function writeLauncher(folder: string): string {
  const path = join(folder, 't4.mjs');
  const cli = JSON.stringify(new URL('../../src/cli.js', import.meta.url).href);
  writeFileSync(path, `import { main } from ${cli};\nprocess.exitCode = await main(process.argv.slice(2));\n`);
  return path;
}

export interface Child {
  readonly process: ChildProcess;
  /** Resolves when stderr has matched, rejects when the process ends without. */
  says(pattern: RegExp): Promise<void>;
  readonly ended: Promise<Ran>;
}

/** A program in a process of its own. `cwd` is where its relative paths begin. */
export function startChild(command: string, argv: readonly string[], cwd: string): Child {
  const child = spawn(command, argv, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<Ran>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      resolve({ code, stdout, stderr });
    });
  });
  const says = (pattern: RegExp): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (pattern.test(stderr)) resolve();
      };
      child.stderr.on('data', look);
      child.on('close', () => {
        reject(new Error(`the process ended without saying ${String(pattern)}:\n${stderr}`));
      });
      look();
    });
  return { process: child, says, ended };
}
