import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  statfsSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Child } from './t4.js';

/** Disks that tests can fill while a program writes to them. */

export interface Disk {
  /** In words, for titles. */
  readonly means: string;
  mount(folder: string): Mounted | Promise<Mounted>;
}

export interface Mounted {
  /** Where processes that are begun with `enter` before their command find the disk. */
  readonly folder: string;
  readonly enter: readonly string[];
  /** Where this process finds it. */
  readonly seen: string;
  /** Takes all the room but what the newest checkpoint of `run`, as this process finds it, has less a little. */
  fill(run: string, child: Child): Promise<void>;
  /** Makes the room free again. */
  clear(child: Child): void;
  unmount(): void | Promise<void>;
}

const succeeds = (command: string, ...argv: string[]): boolean => spawnSync(command, argv).status === 0;

function must(command: string, ...argv: string[]): void {
  const { status, stderr, error } = spawnSync(command, argv, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${argv.join(' ')}: ${error?.message ?? stderr}`);
}

const tmpfs = ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs'];
const ownNamespace = ['--user', '--map-root-user', '--mount'];

/** A file system of 4 MiB, by whatever means the machine permits; files of limited length where it permits none. */
export function smallDisk(): Disk {
  const inNamespace = ['unshare', ...ownNamespace, 'mount', ...tmpfs, '/mnt'] as const;
  if (succeeds('unshare', '--mount', 'mount', ...tmpfs, '/mnt')) return mountedDisk;
  if (succeeds(...inNamespace)) return namespaceDisk;
  return { ...limitedFiles, means: 'neither mount nor unshare is permitted: files of limited length once more' };
}

const mountedDisk: Disk = {
  means: 'a tmpfs, by mount',
  mount(folder) {
    mkdirSync(folder);
    must('mount', ...tmpfs, folder);
    return {
      ...filled(folder),
      folder,
      enter: [],
      unmount: () => {
        must('umount', folder);
      },
    };
  },
};

const namespaceDisk: Disk = {
  means: 'a tmpfs, in a namespace of its own',
  async mount(folder) {
    mkdirSync(folder);
    // The namespace lives as long as a process in it: cat, until its input ends.
    const script = 'mount "$@" && echo mounted && exec cat';
    const holder = spawn('unshare', [...ownNamespace, 'sh', '-c', script, 'sh', ...tmpfs, folder]);
    await once(holder.stdout, 'data');
    const seen = join(`/proc/${holder.pid}/root`, folder);
    return {
      ...filled(seen),
      folder,
      enter: ['nsenter', `--target=${holder.pid}`, '--user', '--preserve-credentials', '--mount'],
      async unmount() {
        holder.stdin.end();
        await once(holder, 'close');
      },
    };
  },
};

/** What a real disk and its being full are like. @param seen where this process finds it */
function filled(seen: string): Pick<Mounted, 'seen' | 'fill' | 'clear'> {
  const filler = join(seen, 'filler');
  return {
    seen,
    async fill(run, child) {
      const checkpoints = join(run, 'checkpoints');
      await stopWhere(child, () => readdirSync(checkpoints).every((name) => !name.startsWith('.')));
      const newest = Math.max(...readdirSync(checkpoints).map(Number));
      // A page less than it needs: there is room for its tensors, and none for all that belongs to it.
      fillUp(filler, seen, pagesOf(join(checkpoints, String(newest))) - 1);
      child.process.kill('SIGCONT');
    },
    clear() {
      rmSync(filler);
    },
  };
}

const pageBytes = 4096;

const pagesOf = (folder: string): number =>
  readdirSync(folder).reduce((pages, name) => pages + Math.ceil(statSync(join(folder, name)).size / pageBytes), 0);

/** Writes a file until so many pages are free. */
function fillUp(path: string, disk: string, pages: number): void {
  const file = openSync(path, 'w');
  const page = Buffer.alloc(pageBytes);
  while (statfsSync(disk).bavail > pages) writeSync(file, page);
  closeSync(file);
}

/** Stops a process at a moment when `holds`, which is looked at while it stands still. */
async function stopWhere({ process: child }: Child, holds: () => boolean): Promise<void> {
  for (;;) {
    child.kill('SIGSTOP');
    while (!/\) [Tt] /.test(readFileSync(`/proc/${child.pid}/stat`, 'latin1')));
    if (holds()) return;
    child.kill('SIGCONT');
    await new Promise(setImmediate);
  }
}

/** Enough for the log and the model of a tiny task, not for the moments of AdamW. */
const lengthOfFiles = 30_000;

/** A limit on the length of the files of a process: refused amid a file, and at once. */
export const limitedFiles: Disk = {
  means: 'files of limited length',
  mount(folder) {
    mkdirSync(folder, { recursive: true });
    const limit = (child: Child, bytes: number | 'unlimited'): void => {
      if (child.process.exitCode !== null) return;
      must('prlimit', `--pid=${child.process.pid}`, `--fsize=${bytes}:`);
    };
    return {
      folder,
      seen: folder,
      enter: [],
      async fill(_run, child) {
        await stopWhere(child, () => true);
        limit(child, lengthOfFiles);
        child.process.kill('SIGCONT');
      },
      clear(child) {
        limit(child, 'unlimited');
      },
      unmount() {
        rmSync(folder, { recursive: true });
      },
    };
  },
};
