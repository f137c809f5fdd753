import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { createRandom } from '../src/data/random.js';
import { t4 } from './support/t4.js';
import { writeTinyTask, type TinyTask } from './support/tiny-task.js';

/** Words and the label that each of them brings. */
const telling = { good: 'praise', awful: 'blame', film: 'cinema', play: 'stage' };
const labels = ['blame', 'cinema', 'praise', 'stage'] as const;
const others = ['the', 'a', 'was', 'really', 'quite', 'so', 'and', 'then', 'today', '.'];

interface Row {
  readonly text: string;
  readonly labels: readonly string[];
}

/** Texts of any number of telling words, none among them. */
function rows(count: number, seed: number): Row[] {
  const random = createRandom(seed);
  const entries = Object.entries(telling);
  return Array.from({ length: count }, () => {
    const words = Array.from({ length: 3 }, () => others[random(others.length)]!);
    const chosen = entries.filter(() => random(3) === 0);
    for (const [word] of chosen) words.splice(random(words.length + 1), 0, word);
    return { text: words.join(' '), labels: labels.filter((label) => chosen.some(([, one]) => one === label)) };
  });
}

const tsv = (given: readonly Row[]): string =>
  ['text\tlabel', ...given.map(({ text, labels: set }) => `${text}\t${set.join(';')}`)]
    .map((line) => `${line}\n`)
    .join('');

const shares = z.strictObject({
  blame: z.number(),
  cinema: z.number(),
  praise: z.number(),
  stage: z.number(),
});
const answerSchema = z.strictObject({ labels: z.array(z.enum(labels)), probabilities: shares });
const predictionSchema = answerSchema.extend({
  line: z.number(),
  text: z.string(),
  gold: z.array(z.enum(labels)),
});
const devSchema = z.strictObject({
  loss: z.number(),
  micro_f1: z.number(),
  macro_f1: z.number(),
  subset_accuracy: z.number(),
  threshold: z.number(),
});
const metricsSchema = z.object({
  best: z.object({ step: z.number(), dev: devSchema }),
  test: devSchema,
});
const testSchema = z.object({
  loss: z.number(),
  threshold: z.number(),
  micro: z.object({ f1: z.number() }),
  subset_accuracy: z.number(),
  classes: z.record(z.string(), z.object({ support: z.number() })),
  labels: z.array(z.string()),
});
const cardSchema = z.object({ task: z.string(), threshold: z.number().optional(), labelSeparator: z.string() });

const json = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));
const linesOf = (text: string): string[] => text.trimEnd().split('\n');

describe('multi-label-classification', () => {
  let folder: string;
  let task: TinyTask;
  let run: string;
  let ran: Awaited<ReturnType<typeof t4>>;
  const testRows = rows(24, 3);
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 't4-multi-label-'));
    run = join(folder, 'run');
    task = writeTinyTask(join(folder, 'task'), {
      task: 'multi-label-classification',
      data: { label_separator: ';' },
      model: { dropout: 0 },
      training: { epochs: 60, log_every: 10 },
    });
    for (const [name, given] of Object.entries({ train: rows(96, 1), dev: rows(24, 2), test: testRows })) {
      writeFileSync(join(task.folder, `${name}.tsv`), tsv(given));
    }
    ran = await t4('finetune', '--task', task.file, '--output', run);
    expect(ran.code, ran.stderr).to.equal(0);
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  const metrics = () => metricsSchema.parse(json(join(run, 'metrics.json')));

  it('is learned, and measured with the threshold that dev has chosen', () => {
    const { best, test } = metrics();
    expect(best.dev.micro_f1).to.be.above(0.9);
    expect(test.micro_f1).to.be.above(0.9);
    expect(test.threshold).to.equal(best.dev.threshold);
    expect(ran.stderr).to.contain('labels blame, cinema, praise, stage');
    expect(ran.stderr).to.match(/^epoch 40 .*: dev loss .*, micro F1 .*, macro F1 .*, subset accuracy /m);
    expect(ran.stdout).to.match(/^best dev +micro F1 [01]\.\d{4}, macro F1 [01]\.\d{4} \(epoch \d+\)$/m);
    expect(ran.stdout).to.contain('samples avg');
  });

  it('the model keeps the threshold, and says in Transformers words what it is', () => {
    const card = cardSchema.parse(json(join(run, 'model', 't4.json')));
    expect(card).to.deep.equal({
      task: 'multi-label-classification',
      threshold: metrics().best.dev.threshold,
      labelSeparator: ';',
    });
    expect(json(join(run, 'model', 'config.json'))).to.deep.include({
      architectures: ['BertForSequenceClassification'],
      problem_type: 'multi_label_classification',
      id2label: { 0: 'blame', 1: 'cinema', 2: 'praise', 3: 'stage' },
    });
  });

  it('t4 test repeats what the run measured, of dev and of test', async () => {
    const { best, test } = metrics();
    for (const [split, expected] of [
      ['dev', best.dev],
      ['test', test],
    ] as const) {
      const tested = await t4('test', '--checkpoint', run, '--split', split, '--output', join(folder, split), '--json');
      expect(tested.code, tested.stderr).to.equal(0);
      const result = testSchema.parse(json(join(folder, split, 'test.json')));
      expect(result.loss).to.equal(expected.loss);
      expect(result.threshold).to.equal(expected.threshold);
      expect(result.micro.f1).to.equal(expected.micro_f1);
      expect(result.subset_accuracy).to.equal(expected.subset_accuracy);
      expect(result.labels).to.deep.equal(labels);
    }
  });

  it('t4 test writes each answer with its gold, and reads a file with the separator of the training data', async () => {
    const output = join(folder, 'tested');
    const data = join(task.folder, 'test.tsv');
    const tested = await t4('test', '--checkpoint', join(run, 'model'), '--data', data, '--output', output);
    expect(tested.code, tested.stderr).to.equal(0);
    const predictions = linesOf(readFileSync(join(output, 'predictions.jsonl'), 'utf8')).map((line) =>
      predictionSchema.parse(JSON.parse(line)),
    );
    expect(predictions.map(({ text, gold }) => ({ text, labels: gold }))).to.deep.equal(testRows);
    expect(testRows.some((row) => row.labels.length === 0)).to.equal(true);
    const { threshold, classes } = testSchema.parse(json(join(output, 'test.json')));
    for (const { labels: given, probabilities } of predictions) {
      expect(given).to.deep.equal(labels.filter((label) => probabilities[label] >= threshold));
    }
    for (const label of labels) {
      expect(classes[label]?.support).to.equal(testRows.filter((row) => row.labels.includes(label)).length);
    }
  });

  it('t4 test compares two models by the examples all of whose labels are right', async () => {
    const flags = ['--compare', join(folder, 'tested'), '--output', join(folder, 'compared')];
    const data = join(task.folder, 'test.tsv');
    const compared = await t4('test', '--checkpoint', join(run, 'model'), '--data', data, ...flags);
    expect(compared.code, compared.stderr).to.equal(0);
    expect(compared.stdout).to.contain('all labels right on the same 24 examples');
    expect(compared.stdout).to.contain('both are right on the same ones');
    expect(compared.stdout).to.match(/^labels are given from probability 0\.\d{4} on$/m);
  });

  it('t4 predict answers as t4 test does', async () => {
    const input = join(task.folder, 'test.tsv');
    const predicted = await t4('predict', '--checkpoint', run, '--input', input);
    expect(predicted.code, predicted.stderr).to.equal(0);
    const answers = linesOf(predicted.stdout).map((line) => answerSchema.parse(JSON.parse(line)));
    const tested = linesOf(readFileSync(join(folder, 'tested', 'predictions.jsonl'), 'utf8')).map((line) => {
      const { labels: given, probabilities } = predictionSchema.parse(JSON.parse(line));
      return { labels: given, probabilities };
    });
    expect(answers).to.deep.equal(tested);
  });

  it('a model of others with that problem_type gives each label from 0.5 on', async () => {
    const foreign = join(folder, 'foreign');
    cpSync(join(run, 'model'), foreign, { recursive: true });
    rmSync(join(foreign, 't4.json'));
    const text = ['--precision', 'fp32', '--text', 'a good film'];
    const { probabilities: own } = answerSchema.parse(
      JSON.parse((await t4('predict', '--checkpoint', run, ...text)).stdout),
    );
    const predicted = await t4('predict', '--checkpoint', foreign, ...text);
    expect(predicted.code, predicted.stderr).to.equal(0);
    const answer = answerSchema.parse(JSON.parse(predicted.stdout));
    expect(answer.probabilities).to.deep.equal(own);
    expect(answer.labels).to.deep.equal(labels.filter((label) => own[label] >= 0.5));
    const jsonl = join(folder, 'test.jsonl');
    writeFileSync(jsonl, testRows.map(({ text, labels: label }) => `${JSON.stringify({ text, label })}\n`).join(''));
    const tested = await t4('test', '--checkpoint', foreign, '--data', jsonl, '--output', join(folder, 'foreign-test'));
    expect(tested.code, tested.stderr).to.equal(0);
    expect(testSchema.parse(json(join(folder, 'foreign-test', 'test.json'))).threshold).to.equal(0.5);
  });

  it('without dev the threshold is 0.5, also for the test', async () => {
    const output = join(folder, 'without-dev');
    const flags = ['--set', 'data.dev=', '--set', 'training.max_steps=2', '--output', output];
    const trained = await t4('finetune', '--task', task.file, ...flags);
    expect(trained.code, trained.stderr).to.equal(0);
    expect(z.object({ test: devSchema }).parse(json(join(output, 'metrics.json'))).test.threshold).to.equal(0.5);
    expect(cardSchema.parse(json(join(output, 'model', 't4.json'))).threshold).to.equal(undefined);
  });

  it('a share of train is held out, and a run that was ended early goes on to the same threshold', async () => {
    const held = ['--set', 'data.dev=', '--set', 'data.dev_fraction=0.25', '--set', 'training.epochs=2'];
    const output = join(folder, 'held-out');
    const whole = await t4('finetune', '--task', task.file, ...held, '--output', output);
    expect(whole.code, whole.stderr).to.equal(0);
    expect(whole.stderr).to.contain('data: train 72, dev 24, test 24');
    const before = metricsSchema.parse(json(join(output, 'metrics.json')));
    const again = await t4('finetune', '--task', task.file, ...held, '--output', output, '--resume');
    expect(again.code, again.stderr).to.equal(0);
    expect(metricsSchema.parse(json(join(output, 'metrics.json'))).test).to.deep.equal(before.test);
  });

  it('refuses labels that there are not, with their line', async () => {
    writeFileSync(join(task.folder, 'dev.tsv'), 'text\tlabel\na film\tcinema;praize\n');
    const refused = await t4('finetune', '--task', task.file, '--output', join(folder, 'refused'));
    expect(refused.code).to.equal(3);
    expect(refused.stderr).to.match(/dev\.tsv:2: got label "praize", expected some of .* \(did you mean praise\?\)/);
  });
});
