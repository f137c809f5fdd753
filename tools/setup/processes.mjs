import childProcess from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import timers from 'node:timers';
import { Interrupted } from './errors.mjs';

/** @type {Set<childProcess.ChildProcess>} */
const children = new Set();
let interruption = 0; // the exit code of the signal that came, 0 while none has
let onChild = () => {};

/** Called with each child's process number and with undefined at its end: the lock notes it down. */
export function observeChildren(observer) {
  onChild = observer;
}

/** To be called between and inside long steps. */
export function throwIfInterrupted() {
  if (interruption !== 0) throw new Interrupted(interruption);
}

/** Ends a child and what it has started itself: a compiler's or a shell's own children. */
export function killGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error; // it has ended in the meantime
  }
}

function killChildren(signal) {
  for (const child of children) if (child.pid !== undefined) killGroup(child.pid, signal);
}

/** Runs `action` such that a signal ends its children and makes it throw Interrupted, after its own clean-up. */
export async function interruptible(action) {
  const handlers = ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => {
    const handler = () => {
      interruption = 128 + os.constants.signals[signal];
      killChildren('SIGTERM');
      // A child that ignores this would keep the clean-up waiting.
      timers.setTimeout(() => killChildren('SIGKILL'), 3000).unref();
    };
    process.on(signal, handler);
    return [signal, handler];
  });
  try {
    return await action();
  } finally {
    for (const [signal, handler] of handlers) process.removeListener(signal, handler);
  }
}

/**
 * Runs a tool to its end and returns what it said. It is no error here that it failed or does not exist.
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: Record<string, string>, timeout?: number }} options
 * @returns {Promise<{ found: boolean, ok: boolean, signal: string | null, stdout: string, stderr: string }>}
 */
export async function run(command, args, options = {}) {
  throwIfInterrupted();
  const child = childProcess.spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // a process group of its own, see killGroup
  });
  children.add(child);
  if (child.pid !== undefined) onChild(child.pid);
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text) => (stderr += text));
  // Not spawn's own timeout: its timer keeps Node alive for the whole time where the command does not exist.
  const timer = timers.setTimeout(() => child.kill('SIGKILL'), options.timeout ?? 2 ** 31 - 1).unref();
  const { error, code, signal } = await new Promise((resolve) => {
    child.on('error', (error) => resolve({ error, code: null, signal: null }));
    child.on('close', (code, signal) => resolve({ error: undefined, code, signal }));
  });
  timers.clearTimeout(timer);
  children.delete(child);
  onChild(undefined);
  throwIfInterrupted();
  return { found: error === undefined, ok: code === 0, signal, stdout, stderr };
}

/** State letter and start time (in the kernel's ticks) of a process; undefined without such a process or /proc. */
function processStatus(pid) {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field, the name in parentheses, may hold blanks.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0], started: fields[19] };
  } catch {
    return undefined;
  }
}

/** With its number, this tells a process from a later one that got the same number. */
export function startOf(pid) {
  return processStatus(pid)?.started;
}

export function isRunning(pid, started) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code !== 'EPERM') return false;
  }
  const status = processStatus(pid);
  if (status === undefined) return true; // no /proc here: the signal's answer has to do
  return status.state !== 'Z' && (started === undefined || status.started === started);
}
