import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { expect } from 'chai';
import { UserError } from '../errors.js';
import { createRun, defaultRunFolder, refuseExistingRun, tidyRun } from './run-folder.js';

describe('run folder', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-run-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  it('is named after the task and the local time', () => {
    expect(defaultRunFolder('demo', new Date(2026, 0, 2, 3, 4, 5))).to.equal('runs/demo-20260102-030405');
  });

  it('is made with the task in it, and unmade with all that came later', () => {
    const run = join(folder, 'deep', 'run');
    const created = createRun(run, 'version: 1\n');
    expect(readdirSync(run).sort()).to.deep.equal(['.lock', 'task.yaml']);
    writeFileSync(join(run, 'log.jsonl'), '');
    created.discard();
    created.release();
    expect(existsSync(run)).to.be.false;
  });

  it("is one process's until it is given back, and never made twice", () => {
    const created = createRun(folder, 'version: 1\n');
    expect(() => createRun(folder, 'version: 2\n')).to.throw(UserError, `process ${process.pid} has had it`);
    created.release();
    expect(() => createRun(folder, 'version: 2\n')).to.throw(UserError, 'is an earlier run');
    expect(readdirSync(folder)).to.deep.equal(['task.yaml']);
    expect(readFileSync(join(folder, 'task.yaml'), 'utf8')).to.equal('version: 1\n');
  });

  it('that was there before is emptied, not removed', () => {
    const created = createRun(folder, 'version: 1\n');
    created.discard();
    created.release();
    expect(readdirSync(folder)).to.deep.equal([]);
    expect(() => {
      refuseExistingRun(folder);
    }).not.to.throw();
  });

  it('loses what a run that died was writing, and nothing else', () => {
    const files = ['task.yaml', 'model/t4.json', 'checkpoints/6/weights.index', 'mine.txt'];
    const unfinished = [
      'metrics.json.partial',
      'model/model.safetensors.partial',
      'checkpoints/.7.partial/weights.index',
    ];
    for (const path of [...files, ...unfinished]) {
      mkdirSync(join(folder, dirname(path)), { recursive: true });
      writeFileSync(join(folder, path), '');
    }
    tidyRun(folder);
    const left = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory());
    expect(left.map(({ parentPath, name }) => relative(folder, join(parentPath, name)))).to.have.members(files);
  });

  it('that died before it was one may be used', () => {
    writeFileSync(join(folder, 'task.yaml.partial'), 'vers');
    for (const name of ['.lock', '.lock.4711']) writeFileSync(join(folder, name), '{}');
    expect(() => {
      refuseExistingRun(folder);
    }).not.to.throw();
  });
});
