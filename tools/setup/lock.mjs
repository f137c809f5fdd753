// One set-up at a time: several t4 processes may find the same thing missing at once.
//
// All that a set-up writes is written beside and renamed, so two holders would only do the same work twice, except
// for `npm ci`, which empties node_modules first. That is why a lock that looks abandoned may simply be taken.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import timers from 'node:timers';
import { setTimeout as sleep } from 'node:timers/promises';
import { readJson, remove, writeWhole } from './files.mjs';
import { say } from './output.mjs';
import { isRunning, killGroup, observeChildren, startOf, throwIfInterrupted } from './processes.mjs';

const heartbeat = 5_000; // milliseconds between signs of life
const silence = 60_000; // no sign of life for so long: its machine or container is gone

function ageOf(file) {
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  return stat === undefined ? 0 : Date.now() - stat.mtimeMs;
}

function isAbandoned(file, owner) {
  if (ageOf(file) > silence) return true;
  if (owner === undefined) return false; // just released, or unreadable: then its age decides
  return owner.host === os.hostname() && !isRunning(owner.pid, owner.started);
}

/** A killed set-up leaves its child running, which would go on writing into what we are about to replace. */
async function endOrphan(owner) {
  const child = owner?.host === os.hostname() ? owner.child : undefined;
  if (child?.started === undefined) return; // without it, the number could be another process's by now
  for (const signal of ['SIGTERM', 'SIGKILL']) {
    for (let tries = 0; tries < 30 && isRunning(child.pid, child.started); tries++) {
      if (tries === 0) killGroup(child.pid, signal);
      await sleep(100);
    }
  }
}

async function takeAbandoned(file, owner) {
  // First, while the lock still names it: we may be killed, too.
  await endOrphan(owner);
  const taken = `${file}.${process.pid}.taken`;
  fs.renameSync(file, taken);
  // Between our look and the rename another process may have taken it: then it goes back.
  if (readJson(taken)?.token !== owner?.token) {
    fs.renameSync(taken, file);
    return;
  }
  remove(taken);
}

/** What processes that were killed while they acquired or took the lock left beside it. */
function removeStrayFiles(file) {
  for (const name of fs.readdirSync(path.dirname(file))) {
    const pid = /^lock\.(\d+)\./.exec(name)?.[1];
    if (pid !== undefined && !isRunning(Number(pid))) remove(path.join(path.dirname(file), name));
  }
}

function tryToAcquire(file, mine) {
  const beside = `${file}.${process.pid}.tmp`;
  fs.writeFileSync(beside, JSON.stringify(mine));
  try {
    fs.linkSync(beside, file); // unlike a rename, this fails where the lock is held
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  } finally {
    remove(beside);
  }
}

async function acquire(file, mine) {
  let told = false;
  while (!tryToAcquire(file, mine)) {
    throwIfInterrupted();
    const owner = readJson(file);
    if (isAbandoned(file, owner)) {
      await takeAbandoned(file, owner).catch((error) => {
        if (error.code !== 'ENOENT') throw error; // another one was faster
      });
      continue;
    }
    if (!told && owner !== undefined) {
      say(`Another set-up is running (process ${owner.pid}); waiting for it ...`);
      told = true;
    }
    await sleep(200);
  }
}

/**
 * Runs `action` while no other set-up with the same cache runs.
 * @template T
 * @param {string} cache
 * @param {() => Promise<T>} action
 * @returns {Promise<T>}
 */
export async function withLock(cache, action) {
  fs.mkdirSync(cache, { recursive: true });
  const file = path.join(cache, 'lock');
  const mine = {
    pid: process.pid,
    started: startOf(process.pid),
    host: os.hostname(),
    token: `${process.pid}-${Date.now()}-${Math.random()}`,
  };
  await acquire(file, mine);
  removeStrayFiles(file);
  observeChildren((pid) => {
    const child = pid === undefined ? undefined : { pid, started: startOf(pid) };
    try {
      if (readJson(file)?.token === mine.token) writeWhole(file, JSON.stringify({ ...mine, child }));
    } catch {
      // The disk is full: the step in progress will say so, and where.
    }
  });
  const timer = timers.setInterval(() => {
    const now = new Date();
    fs.utimes(file, now, now, () => {});
  }, heartbeat);
  try {
    return await action();
  } finally {
    timers.clearInterval(timer);
    observeChildren(() => {});
    if (readJson(file)?.token === mine.token) remove(file);
  }
}
