import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { UserError } from '../errors.js';
import { lockName, lockRun, refuseLockedRun } from './run-lock.js';

describe("the lock of a run's folder", () => {
  let folder: string;
  const path = (): string => join(folder, lockName);
  const lock = () => z.record(z.string(), z.unknown()).parse(JSON.parse(readFileSync(path(), 'utf8')));
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-lock-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  it('is had by one at a time, and leaves nothing', () => {
    const release = lockRun(folder);
    expect(readdirSync(folder)).to.deep.equal([lockName]);
    const said = new RegExp(`^${folder} is in use: process ${process.pid} has had it since \\d{4}-`);
    for (const attempt of [lockRun, refuseLockedRun]) {
      expect(() => {
        attempt(folder);
      }).to.throw(UserError, said);
    }
    release();
    expect(readdirSync(folder)).to.deep.equal([]);
    refuseLockedRun(folder);
    lockRun(folder)();
    expect(readdirSync(folder)).to.deep.equal([]);
  });

  const gone = spawnSync(process.execPath, ['--version']).pid;
  const left: readonly [what: string, change: object | undefined][] = [
    ['a process that is gone', { pid: gone }],
    ['one whose number another process has', { started: '1' }],
    ['one that a power cut ended while it wrote', undefined],
  ];
  for (const [what, change] of left) {
    it(`is taken over from ${what}`, () => {
      const release = lockRun(folder);
      const own = lock();
      release();
      writeFileSync(path(), change === undefined ? '{"pid"' : JSON.stringify({ ...own, ...change }));
      refuseLockedRun(folder);
      writeFileSync(`${path()}.${gone}.taken`, '');
      const again = lockRun(folder);
      expect(lock()).to.include({ pid: own.pid, started: own.started });
      expect(readdirSync(folder)).to.deep.equal([lockName]);
      again();
    });
  }

  it('is not taken from a process on another machine, of which it says what can be done', () => {
    const release = lockRun(folder);
    const own = lock();
    writeFileSync(path(), JSON.stringify({ ...own, host: 'elsewhere', pid: gone }));
    const refused = ((): unknown => {
      try {
        return lockRun(folder);
      } catch (error) {
        return error;
      }
    })();
    expect(refused).to.be.instanceOf(UserError).and.to.include({ kind: 'usage' });
    expect(refused).to.have.property('message').that.contains(`process ${gone} on elsewhere has had it since`);
    expect(refused).to.have.property('hint').that.contains(`if it does not, delete ${path()}`);
    // What is another's is not given back.
    release();
    expect(readdirSync(folder)).to.deep.equal([lockName]);
  });
});
