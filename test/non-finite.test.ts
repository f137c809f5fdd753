import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { openSafetensors, writeSafetensors } from '../src/checkpoints/safetensors.js';
import { t4 } from './support/t4.js';
import { sentences, tsv, writeTinyTask, type TinyTask } from './support/tiny-task.js';

const skippedLine = z.object({
  step: z.number(),
  skipped: z.object({ loss: z.literal('NaN'), grad_norm: z.literal('NaN'), lines: z.array(z.number()) }),
});
const timing = ['examples_per_second', 'tokens_per_second', 'share_of_peak', 'rss_bytes'];

/** A task whose model has no numbers for one token. */
function brokenTask(folder: string, token: string): TinyTask {
  const task = writeTinyTask(folder);
  const file = join(task.model, 'model.safetensors');
  const id = readFileSync(join(task.model, 'vocab.txt'), 'utf8').split('\n').indexOf(token);
  const opened = openSafetensors(file);
  const tensors = [...opened.tensors.values()].map((tensor) => ({
    name: tensor.name,
    shape: tensor.shape,
    values: tensor.read(),
  }));
  opened.close();
  const table = tensors.find(({ name }) => name.endsWith('word_embeddings.weight'))!;
  table.values.fill(NaN, id * table.shape[1]!, (id + 1) * table.shape[1]!);
  writeSafetensors(
    file,
    tensors.map(({ values, ...tensor }) => ({ ...tensor, values: () => values })),
  );
  return task;
}

describe('a step that is not finite', () => {
  let folder: string;
  let task: TinyTask;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-non-finite-'));
    task = brokenTask(join(folder, 'task'), '[MASK]');
    const rows = sentences(48, 1);
    writeFileSync(join(task.folder, 'train.tsv'), tsv(rows.with(9, { text: 'the [MASK] film', label: 'pos' })));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  /** The line of the file, whose first one is the header, and the first step in which it comes. */
  const [bad, step] = [11, 5];

  async function train(name: string, settings: readonly string[], from = task) {
    const run = join(folder, name);
    const flags = settings.flatMap((setting) => ['--set', `training.${setting}`]);
    return { run, ...(await t4('finetune', '--task', from.file, '--output', run, ...flags)) };
  }
  const logOf = (run: string): unknown[] =>
    readFileSync(join(run, 'log.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line, (key, value: unknown) => (timing.includes(key) ? undefined : value)) as unknown);
  const skippedIn = (run: string) => logOf(run).flatMap((line) => skippedLine.safeParse(line).data ?? []);

  it('ends the run with 6, and the step, the lines of its examples and the last good checkpoint', async () => {
    const { run, code, stderr } = await train('stop', ['save_every=1']);
    expect(code, stderr).to.equal(6);
    const [, place, lines] =
      /^t4: step (\d+): loss NaN, gradient norm NaN, at .*; its examples: \S+train\.tsv:([\d,]+)$/m.exec(stderr)!;
    expect(Number(place)).to.equal(step);
    expect(lines!.split(',').map(Number)).to.include(bad).and.to.have.length(8);
    expect(stderr).to.contain(`The last good checkpoint is ${join(run, 'checkpoints', String(step - 1))}. `);
  });

  it('is left out where that is asked for, counted and logged with its lines', async () => {
    const { run, code, stderr } = await train('skip', ['on_nonfinite=skip']);
    expect(code, stderr).to.equal(0);
    const skipped = skippedIn(run);
    expect(skipped.map((line) => Math.ceil(line.step / 6))).to.deep.equal([1, 2, 3]);
    for (const {
      step: at,
      skipped: { lines },
    } of skipped) {
      expect(lines).to.include(bad);
      expect(stderr).to.contain(`warning: step ${at} is left out: loss NaN`);
    }
    const metrics = z.object({ train: z.object({ skipped_steps: z.number(), steps: z.number() }) });
    expect(metrics.parse(JSON.parse(readFileSync(join(run, 'metrics.json'), 'utf8'))).train).to.include({
      skipped_steps: 3,
      steps: 18,
    });
  });

  it('goes back to the last checkpoint where that is asked for, and on behind the batch', async () => {
    const often = await train('rollback-1', ['on_nonfinite=rollback', 'save_every=1']);
    expect(often.code, often.stderr).to.equal(0);
    // With a checkpoint of the step before, that is to leave the step out.
    expect(logOf(often.run)).to.deep.equal(logOf(join(folder, 'skip')));
    expect(skippedIn(often.run)[0]?.step).to.equal(step);
    const every = 3;
    const seldom = await train('rollback', ['on_nonfinite=rollback', `save_every=${every}`]);
    expect(seldom.code, seldom.stderr).to.equal(0);
    expect(seldom.stderr).to.contain(`warning: step ${step} is left out, weights of step ${every}: loss NaN`);
    expect(logOf(seldom.run).slice(0, step)).to.deep.equal(logOf(often.run).slice(0, step));
    expect(logOf(seldom.run)[step]).to.have.property('step', step + 1);
    expect(logOf(seldom.run)[step]).not.to.deep.equal(logOf(often.run)[step]);
  });

  it('ends the run all the same where there is no checkpoint to go back to, or where it is one of many', async () => {
    const early = await train('early', ['on_nonfinite=rollback']);
    expect(early.code).to.equal(6);
    expect(early.stderr).to.contain('There is no checkpoint yet to go back to.');
    const always = brokenTask(join(folder, 'always'), '[CLS]');
    const many = await train('many', ['on_nonfinite=skip'], always);
    expect(many.code).to.equal(6);
    expect(many.stderr)
      .to.match(/^t4: step 11: loss NaN/m)
      .and.to.contain('It was the 11th such step in a row.');
  });
});
