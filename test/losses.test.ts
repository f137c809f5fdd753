import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { t4 } from './support/t4.js';
import { sentences, tsv, writeTinyTask } from './support/tiny-task.js';

const stepLine = z.object({ loss: z.number(), grad_norm: z.number() });

describe('t4 finetune with another loss than plain cross entropy', () => {
  let folder: string;
  let task: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-losses-'));
    task = writeTinyTask(join(folder, 'task'), { model: { dropout: 0 }, training: { batch_size: 48 } }).file;
    // Three of four are negative.
    const rows = sentences(64, 4).filter(({ label }, i) => label === 'neg' || i % 6 === 0);
    writeFileSync(join(folder, 'task', 'train.tsv'), tsv(rows.slice(0, 40)));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  /** The first step's numbers, and what was said. */
  async function firstStep(...set: string[]): Promise<z.infer<typeof stepLine> & { stderr: string }> {
    const run = mkdtempSync(join(folder, 'run-'));
    rmSync(run, { recursive: true });
    const flags = [...set, 'training.max_steps=1'].flatMap((one) => ['--set', one]);
    const { code, stderr } = await t4('finetune', '--task', task, '--output', run, ...flags);
    expect(code, stderr).to.equal(0);
    const [line] = readFileSync(join(run, 'log.jsonl'), 'utf8').split('\n');
    return { ...stepLine.parse(JSON.parse(line!)), stderr };
  }

  it('says what each label counts, and weighs them', async () => {
    const plain = await firstStep();
    expect(plain.stderr).not.to.contain('class weights');
    const auto = await firstStep('training.class_weights=auto');
    const [, neg, pos] = /^class weights: neg ([\d.]+), pos ([\d.]+)$/m.exec(auto.stderr) ?? [];
    expect(Number(neg)).to.be.below(1);
    expect(Number(pos)).to.be.above(1);
    expect(auto.loss).not.to.be.closeTo(plain.loss, 1e-5);
    // Only what they are to each other counts.
    const ratio = await firstStep(`training.class_weights={ pos: ${Number(pos) / Number(neg)} }`);
    expect(ratio.stderr).to.contain('class weights: neg 1, pos ');
    expect(ratio.loss).to.be.closeTo(auto.loss, 1e-4);
    expect(ratio.grad_norm).to.be.closeTo(auto.grad_norm, 1e-3);
  });

  it('a focal loss is smaller than cross entropy, and a smoothed one has other gradients', async () => {
    const plain = await firstStep();
    const focal = await firstStep('training.focal_gamma=2');
    expect(focal.loss).to.be.within(0.1 * plain.loss, 0.6 * plain.loss);
    const smoothed = await firstStep('training.label_smoothing=0.3');
    expect(smoothed.grad_norm).not.to.be.closeTo(plain.grad_norm, 1e-4);
  });

  it('weighs the labels of words, where there are any', async () => {
    const rows = sentences(24, 5).map(({ text }) =>
      text
        .split(' ')
        .map((word) => `${word} ${['film', 'play'].includes(word) ? 'B-WORK' : 'O'}\n`)
        .join(''),
    );
    writeFileSync(join(folder, 'task', 'train.conll'), rows.join('\n'));
    const ner = ['task=ner', 'data.train=train.conll', 'data.dev=', 'data.test=', 'data.columns='];
    const plain = await firstStep(...ner);
    const weighted = await firstStep(...ner, 'training.class_weights=auto', 'training.label_smoothing=0.1');
    expect(weighted.stderr).to.match(/^class weights: B-WORK [1-9][\d.]*, O 0\.[\d]+$/m);
    expect(weighted.loss).to.be.within(0.1, 2);
    expect(weighted.loss).not.to.be.closeTo(plain.loss, 1e-4);
  });

  it('refuses weights of labels that there are not before it trains', async () => {
    const flags = ['--set', 'training.class_weights.posi=2', '--output', join(folder, 'refused')];
    const { code, stderr } = await t4('finetune', '--task', task, ...flags);
    expect(code).to.equal(2);
    expect(stderr).to.contain('training.class_weights: got the label "posi", expected neg, pos');
  });
});
