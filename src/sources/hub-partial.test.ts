import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { expect } from 'chai';
import { claimPartial, completePartial, dropPartial, releasePartial } from './hub-partial.js';

const etag = 'a'.repeat(64);
const host = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
const claimed = (pid: number, on = host): string => `${etag}.${on}-${pid}-01234567.incomplete`;

describe('partial downloads', () => {
  let blobs: string;
  /** The number of a process that has ended. */
  let dead: number;
  before(() => {
    dead = spawnSync('true').pid;
  });
  beforeEach(() => {
    blobs = mkdtempSync(join(tmpdir(), 't4-partial-'));
  });
  afterEach(() => {
    rmSync(blobs, { recursive: true });
  });
  const write = (name: string, content: string, minutesOld = 0): void => {
    writeFileSync(join(blobs, name), content);
    const then = Date.now() / 1000 - minutesOld * 60;
    utimesSync(join(blobs, name), then, then);
  };
  async function claim(): Promise<string> {
    const result = await claimPartial(blobs, etag);
    if (!('path' in result)) throw new Error(`expected a file, got busy with ${result.busy}`);
    return result.path;
  }

  it('begin empty, and belong to one process until it leaves or completes them', async () => {
    const path = await claim();
    expect(readFileSync(path, 'utf8')).to.equal('');
    expect(await claimPartial(blobs, etag)).to.deep.equal({ busy: process.pid });
    writeFileSync(path, 'abc');
    await releasePartial(path, blobs, etag);
    expect(readdirSync(blobs)).to.deep.equal([`${etag}.incomplete`]);
    const again = await claim();
    expect(readFileSync(again, 'utf8')).to.equal('abc');
    await completePartial(again, join(blobs, etag));
    expect(readdirSync(blobs)).to.deep.equal([etag]);
  });

  it('of a process that was killed are taken over, the largest of them', async () => {
    write(claimed(dead), 'abcdef', 100);
    write(`${etag}.incomplete`, 'abc');
    write(`${'b'.repeat(64)}.incomplete`, 'another');
    const path = await claim();
    expect(readFileSync(path, 'utf8')).to.equal('abcdef');
    expect(readdirSync(blobs).sort()).to.deep.equal([basename(path), `${'b'.repeat(64)}.incomplete`].sort());
    expect(await claimPartial(blobs, etag), 'however old it was').to.deep.equal({ busy: process.pid });
    await dropPartial(path);
  });

  it('that bear our own number but are not ours are taken over', async () => {
    write(claimed(process.pid), 'abc');
    const path = await claim();
    expect(readFileSync(path, 'utf8')).to.equal('abc');
    await dropPartial(path);
  });

  it('of a process at work, here or on another machine, are waited for', async () => {
    for (const name of [claimed(process.ppid), claimed(dead, '00000000')]) {
      write(name, 'abc');
      expect(await claimPartial(blobs, etag), name).to.have.property('busy');
      rmSync(join(blobs, name));
    }
  });

  it('of a process that hangs are let be, and taken over after hours', async () => {
    write(claimed(process.ppid), 'abc', 5);
    const path = await claim();
    expect(readFileSync(path, 'utf8')).to.equal('');
    expect(readdirSync(blobs)).to.include(claimed(process.ppid));
    await dropPartial(path);
    write(claimed(process.ppid), 'abc', 120);
    const taken = await claim();
    expect(readFileSync(taken, 'utf8')).to.equal('abc');
    await dropPartial(taken);
  });

  it('of the Python library are let be', async () => {
    write(`${etag}.1a2b3c4d.incomplete`, 'abc');
    const path = await claim();
    expect(readFileSync(path, 'utf8')).to.equal('');
    expect(readdirSync(blobs)).to.include(`${etag}.1a2b3c4d.incomplete`);
    await dropPartial(path);
  });

  it('are begun by one of two that ask at once', async () => {
    for (let i = 0; i < 50; i += 1) {
      const results = await Promise.all([claimPartial(blobs, etag), claimPartial(blobs, etag)]);
      const paths = results.flatMap((result) => ('path' in result ? [result.path] : []));
      expect(paths).to.have.length(1);
      await dropPartial(paths[0]!);
      rmSync(join(blobs, `${etag}.incomplete`), { force: true });
    }
  });

  it('go to one of many that ask at once', async () => {
    write(`${etag}.incomplete`, 'abc');
    const results = await Promise.all(Array.from({ length: 8 }, () => claimPartial(blobs, etag)));
    const paths = results.flatMap((result) => ('path' in result ? [result.path] : []));
    expect(paths.filter((path) => readFileSync(path, 'utf8') === 'abc')).to.have.length(1);
    expect(new Set(paths).size).to.equal(paths.length);
    for (const path of paths) await dropPartial(path);
  });
});
