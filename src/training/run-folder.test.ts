import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { checkpointSteps, newestCheckpoint, pruneCheckpoints, writeCheckpoint } from './checkpoints.js';
import { appendLog, createRun, defaultRunFolder, refuseExistingRun, truncateLog } from './run-folder.js';

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
    expect(readdirSync(run)).to.deep.equal(['task.yaml']);
    appendLog(run, { step: 1 });
    created.discard();
    expect(existsSync(run)).to.be.false;
  });

  it('that was there before is emptied, not removed', () => {
    const created = createRun(folder, 'version: 1\n');
    created.discard();
    expect(readdirSync(folder)).to.deep.equal([]);
    expect(() => {
      refuseExistingRun(folder);
    }).not.to.throw();
  });

  it('drops from the log what a resume runs again, and a line that a crash cut off', () => {
    for (const step of [1, 2, 3]) appendLog(folder, { step, loss: 0.5 });
    appendLog(folder, { step: 2, dev: { loss: 1 } });
    const path = join(folder, 'log.jsonl');
    writeFileSync(path, `${readFileSync(path, 'utf8')}{"step": 2, "lo`);
    truncateLog(folder, 2);
    const expected = [
      { step: 1, loss: 0.5 },
      { step: 2, loss: 0.5 },
      { step: 2, dev: { loss: 1 } },
    ];
    expect(readFileSync(path, 'utf8')).to.equal(expected.map((line) => `${JSON.stringify(line)}\n`).join(''));
  });

  it('may have no log yet', () => {
    truncateLog(folder, 0);
    expect(readdirSync(folder)).to.deep.equal([]);
  });
});

describe('checkpoints', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-checkpoints-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  const stateOf = (step: number, best?: { step: number; score: number }) => ({
    step,
    evaluated: 0,
    unimproved: 0,
    best,
    seconds: 1.5,
    examples: 8 * step,
  });
  const write = (step: number) => {
    writeCheckpoint(folder, stateOf(step), (staged) => {
      writeFileSync(join(staged, 'weights.index'), String(step));
    });
  };

  it('give back the newest state, with the best so far', () => {
    write(5);
    const state = { ...stateOf(20, { step: 5, score: 0.75 }), evaluated: 15, unimproved: 2 };
    writeCheckpoint(folder, state, () => undefined);
    write(9);
    expect(newestCheckpoint(folder)).to.deep.equal({ folder: join(folder, 'checkpoints', '20'), state });
  });

  it('keep a score that is no number', () => {
    writeCheckpoint(folder, stateOf(3, { step: 3, score: NaN }), () => undefined);
    expect(newestCheckpoint(folder).state.best).to.deep.equal({ step: 3, score: NaN });
  });

  it('are whole or not there: a failed one leaves nothing', () => {
    expect(() => {
      writeCheckpoint(folder, stateOf(5), (staged) => {
        writeFileSync(join(staged, 'weights.index'), '');
        throw new Error('disk full');
      });
    }).to.throw('disk full');
    expect(readdirSync(join(folder, 'checkpoints'))).to.deep.equal([]);
    mkdirSync(join(folder, 'checkpoints', '.7.partial'));
    mkdirSync(join(folder, 'checkpoints', '8'));
    expect(checkpointSteps(folder)).to.deep.equal([]);
    expect(() => newestCheckpoint(folder)).to.throw('has no complete checkpoint');
  });

  it('are kept: the newest and the best, by number and not by name', () => {
    for (const step of [2, 10, 9, 100]) write(step);
    pruneCheckpoints(folder, 2, 2);
    expect(checkpointSteps(folder)).to.deep.equal([2, 10, 100]);
    pruneCheckpoints(folder, 5, undefined);
    expect(checkpointSteps(folder)).to.deep.equal([2, 10, 100]);
  });

  it('with a damaged state are refused', () => {
    write(5);
    writeFileSync(join(folder, 'checkpoints', '5', 'state.json'), '{"step": "5"}');
    expect(() => newestCheckpoint(folder)).to.throw('state.json: ');
  });
});
