import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { createRandom } from '../../src/data/random.js';
import { checkpointProblem } from '../../src/training/checkpoints.js';
import { limitedFiles, smallDisk, type Mounted } from '../support/full-disk.js';
import { startChild, t4, writeLauncher, type Child } from '../support/t4.js';
import { writeTinyTask, type TinyTask } from '../support/tiny-task.js';

/**
 * Runs that are killed, ended by signals, or find the disk full, beside one that nothing happens to: all that does not
 * hang on the clock must be equal bit for bit.
 */

const totalSteps = 150;
const kills = 20;
const signals = 10;
const timing = new Set(['examples_per_second', 'tokens_per_second', 'share_of_peak', 'rss_bytes']);
const logEntry = z.looseObject({ step: z.number() });

/** log.jsonl without what hangs on the clock. */
const logOf = (run: string): unknown[] =>
  readFileSync(join(run, 'log.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => Object.entries(logEntry.parse(JSON.parse(line))).filter(([key]) => !timing.has(key)));

const metricsOf = (run: string) =>
  z
    .object({ best: z.unknown(), test: z.unknown(), train: z.object({ steps: z.number() }) })
    .parse(JSON.parse(readFileSync(join(run, 'metrics.json'), 'utf8')));

const numbered = (run: string): string[] => namesIn(join(run, 'checkpoints')).filter((name) => /^\d+$/.test(name));
const namesIn = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : []);

/** The last step that a log in the making speaks of; 0 where there is none. */
function lastStep(run: string): number {
  const path = join(run, 'log.jsonl');
  const steps = existsSync(path) ? readFileSync(path, 'utf8').match(/"step":\d+(?=,)/g) : null;
  return Number(steps?.at(-1)?.slice('"step":'.length) ?? 0);
}

/** Resolves as soon as `holds`, looked at whenever something in the run's folder or in what it says changes. */
function until(run: string, child: Child, holds: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const watchers = [run, join(run, 'checkpoints')].map((folder) => existsSync(folder) && watch(folder, look));
    child.process.stderr?.on('data', look);
    child.process.on('close', gone);
    function end(): void {
      for (const watcher of watchers) if (watcher !== false) watcher.close();
      child.process.stderr?.off('data', look);
      child.process.off('close', gone);
    }
    function gone(): void {
      end();
      reject(new Error('the process ended before that'));
    }
    function look(): void {
      if (!holds()) return;
      end();
      resolve();
    }
    look();
  });
}

describe('durability', () => {
  let folder: string;
  let task: TinyTask;
  let launcher: string;
  let whole: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 't4-durability-'));
    launcher = writeLauncher(folder);
    // Lines of the log, evaluations and checkpoints fall on different steps; the average and both of AdamW's moments count.
    task = writeTinyTask(join(folder, 'task'), {
      model: { dropout: 0.1 },
      training: {
        epochs: 25,
        max_steps: totalSteps,
        log_every: 4,
        eval_every: 7,
        save_every: 3,
        early_stopping_patience: 1000,
        ema_decay: 0.9,
        gradient_accumulation: 2,
        batch_size: 4,
      },
    });
    whole = join(folder, 'whole');
    const ran = await t4('finetune', '--task', task.file, '--output', whole);
    expect(ran.code, ran.stderr).to.equal(0);
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  /**
   * Begins a run, or goes on with it.
   *
   * @param seen where this process finds the run
   * @param enter what goes before the command
   * @param set further flags of a run that begins
   */
  function sit(
    run: string,
    { seen = run, enter = [] as readonly string[], set = [] as readonly string[] } = {},
  ): Child {
    const resumed = existsSync(join(seen, 'task.yaml'));
    const what = resumed ? ['--resume'] : ['--task', task.file, ...set];
    const [command, ...argv] = [...enter, process.execPath, launcher, 'finetune', '--output', run, ...what];
    return startChild(command!, argv, folder);
  }

  /** Resolves when a run that goes on has logged so many steps. */
  async function afterSteps(run: string, child: Child, steps: number): Promise<void> {
    await child.says(/^run: /m);
    await until(run, child, () => lastStep(run) >= steps);
  }

  function expectWhole(run: string): void {
    expect(logOf(run)).to.deep.equal(logOf(whole));
    expect(metricsOf(run)).to.deep.equal(metricsOf(whole));
    const [ours, theirs] = [run, whole].map((path) => readFileSync(join(path, 'model', 'model.safetensors')));
    expect(ours!.equals(theirs!), 'the weights are others').to.equal(true);
    const left = namesIn(join(run, 'checkpoints')).filter((name) => name.startsWith('.'));
    expect(left).to.deep.equal([]);
  }

  function expectNothingHalf(run: string): void {
    for (const step of numbered(run)) expect(checkpointProblem(run, Number(step)), `step ${step}`).to.equal(undefined);
  }

  it(`${kills} times killed by SIGKILL, the run is the one that was not: while it computes, saves, or begins`, async () => {
    const run = join(folder, 'killed');
    const random = createRandom(17);
    let amidSaving = 0;
    for (let kill = 0; kill < kills; kill++) {
      const child = sit(run);
      const from = Math.floor(((kill + random(1000) / 1000) * (totalSteps - 10)) / kills);
      const manner = kill % 4;
      if (manner === 3) await child.says(/^loading the weights/m);
      else {
        await child.says(/^run: /m);
        await until(run, child, () => {
          if (lastStep(run) < from) return false;
          return manner !== 1 || namesIn(join(run, 'checkpoints')).some((name) => name.endsWith('.partial'));
        });
      }
      child.process.kill('SIGKILL');
      const ended = await child.ended;
      expect(ended.code, ended.stderr).to.equal(null);
      if (namesIn(join(run, 'checkpoints')).some((name) => name.startsWith('.'))) amidSaving++;
      expectNothingHalf(run);
    }
    expect(amidSaving, 'no kill came while a checkpoint was written').to.be.above(0);
    const last = await sit(run).ended;
    expect(last.code, last.stderr).to.equal(0);
    expect(last.stderr).to.not.contain('damaged');
    expectWhole(run);
  });

  it(`${signals} times ended by SIGINT or SIGTERM, the run is the one that was not, and saves each time`, async () => {
    const run = join(folder, 'ended');
    const random = createRandom(23);
    for (let end = 0; end < signals; end++) {
      const [signal, code] = end % 2 === 0 ? (['SIGTERM', 143] as const) : (['SIGINT', 130] as const);
      const child = sit(run);
      await afterSteps(run, child, Math.floor(((end + random(1000) / 1000) * (totalSteps - 20)) / signals));
      child.process.kill(signal);
      const ended = await child.ended;
      expect(ended.code, ended.stderr).to.equal(code);
      const step = /saved after step (\d+) of 150\. Continue with: .* --resume\n$/.exec(ended.stderr)?.[1];
      expect(numbered(run), ended.stderr).to.include(step);
      expectNothingHalf(run);
    }
    const last = await sit(run).ended;
    expect(last.code, last.stderr).to.equal(0);
    expectWhole(run);
  });

  for (const disk of [smallDisk(), limitedFiles]) {
    describe(`with a full disk (${disk.means})`, () => {
      let mounted: Mounted;
      before(async () => {
        mounted = await disk.mount(join(folder, 'small'));
      });
      after(async () => {
        await mounted.unmount();
      });

      /** A run on the disk: where its own process finds it, and where this one does. */
      const begin = async (name: string) => {
        const run = join(mounted.folder, name);
        const seen = join(mounted.seen, name);
        // Nothing but the newest checkpoint and the best: nothing that could make room for a further one.
        const child = sit(run, { enter: mounted.enter, seen, set: ['--set', 'training.keep=1'] });
        await afterSteps(seen, child, 20);
        return { run, seen, child };
      };

      it('for a while, training goes on and nothing is lost', async () => {
        const { seen, child } = await begin('for-a-while');
        await mounted.fill(seen, child);
        await child.says(/^warning: the disk is full, so step \d+ is not saved .*; training goes on and tries again/m);
        expectNothingHalf(seen);
        mounted.clear(child);
        await child.says(/^there is room again: saved after step \d+$/m);
        const ended = await child.ended;
        expect(ended.code, ended.stderr).to.equal(0);
        expect(ended.stderr.match(/^warning: the disk is full/gm)).to.have.length(1);
        expectWhole(seen);
      });

      it('to the end, says what is kept, ends with 7, and is resumed to the same end', async () => {
        const { run, seen, child } = await begin('to-the-end');
        await mounted.fill(seen, child);
        const kept = numbered(seen);
        const ended = await child.ended;
        expect(ended.code, ended.stderr).to.equal(7);
        expect(ended.stderr).to.match(
          /^t4: the checkpoint of step 150 could not be written: .*\n +The disk is full\. The newest checkpoint is /m,
        );
        const newest = Math.max(...kept.map(Number));
        expect(numbered(seen)).to.include(String(newest));
        expectNothingHalf(seen);
        mounted.clear(child);
        const resumed = await sit(run, { enter: mounted.enter, seen }).ended;
        expect(resumed.code, resumed.stderr).to.equal(0);
        expect(resumed.stderr).to.contain(`continued from step ${newest} of 150`);
        expectWhole(seen);
      });
    });
  }

  it('a checkpoint that was damaged on disk is named, and the one before it continues the run', async () => {
    const run = join(folder, 'damaged');
    const child = sit(run);
    await afterSteps(run, child, 20);
    child.process.kill('SIGTERM');
    await child.ended;
    const [newest] = numbered(run).sort((a, b) => Number(b) - Number(a));
    const path = join(run, 'checkpoints', newest!, 'weights.data-00000-of-00001');
    const bytes = readFileSync(path);
    bytes[100]! ^= 1;
    writeFileSync(path, bytes);
    const ended = await sit(run).ended;
    expect(ended.code, ended.stderr).to.equal(0);
    expect(ended.stderr).to.contain(
      `warning: ${join(run, 'checkpoints', newest!)} is damaged and is skipped: weights.data`,
    );
    expectWhole(run);
  });
});
