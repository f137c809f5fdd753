import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { openSafetensors } from '../src/checkpoints/safetensors.js';
import { startChild, t4, writeLauncher } from './support/t4.js';
import { sentences, tsv, writeTinyTask, type TinyTask } from './support/tiny-task.js';

const scores = z.object({ loss: z.number(), accuracy: z.number(), macro_f1: z.number() });
const metricsSchema = z.object({
  best: z.object({ epoch: z.number(), step: z.number(), dev: scores.optional() }),
  test: scores.extend({ majority_accuracy: z.number() }).optional(),
  train: z.object({
    seconds: z.number(),
    steps: z.number(),
    examples_per_second: z.number(),
    peak_rss_bytes: z.number(),
  }),
  versions: z.object({ t4: z.string(), node: z.string(), tensorflow: z.string() }),
  device: z.object({ kind: z.enum(['cpu', 'gpu']), description: z.string() }),
  precision: z.enum(['fp32', 'bf16']),
});
const testSchema = scores.omit({ macro_f1: true }).extend({
  examples: z.number(),
  macro: z.object({ f1: z.number() }),
  majority_accuracy: z.number(),
  labels: z.array(z.string()),
  confusion: z.array(z.array(z.number())),
});
const stepLine = z.strictObject({
  step: z.number(),
  epoch: z.number(),
  loss: z.number(),
  learning_rate: z.number(),
  grad_norm: z.number(),
  examples_per_second: z.number(),
  tokens_per_second: z.number(),
  share_of_peak: z.number().optional(),
  rss_bytes: z.number(),
});
const devLine = z.strictObject({ step: z.number(), epoch: z.number(), dev: scores });

const json = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));
const metricsOf = (run: string) => metricsSchema.parse(json(join(run, 'metrics.json')));
const logOf = (run: string) =>
  readFileSync(join(run, 'log.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => z.union([stepLine, devLine]).parse(JSON.parse(line)));

/** Losses and dev scores by step: all of a log that does not hang on the clock. */
const numbersOf = (run: string) =>
  logOf(run).map((line) =>
    'dev' in line ? line : [line.step, line.loss, line.grad_norm, line.learning_rate, line.epoch],
  );

describe('t4 finetune', () => {
  let folder: string;
  let task: TinyTask;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-finetune-'));
    task = writeTinyTask(join(folder, 'task'));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  /** Fine-tunes and expects it to work. */
  async function finetune(run: string, ...argv: string[]): Promise<string> {
    const output = join(folder, run);
    const ran = await t4('finetune', '--task', task.file, '--output', output, ...argv);
    expect(ran.code, ran.stderr).to.equal(0);
    return output;
  }

  describe('a run', () => {
    let run: string;
    let ran: Awaited<ReturnType<typeof t4>>;
    before(async () => {
      run = join(folder, 'run');
      ran = await t4('finetune', '--task', task.file, '--output', run);
    });

    it('ends with a summary: best dev, test beside the majority class, the model, the next command', () => {
      expect(ran.code, ran.stderr).to.equal(0);
      const summary = ran.stdout.trimEnd().split('\n').slice(-4);
      expect(summary[0]).to.match(/^best dev +accuracy [01]\.\d{4} \(epoch [123]\)$/);
      expect(summary[1]).to.match(/^test +accuracy [01]\.\d{4} \(majority class, neg: 0\.5000\)$/);
      expect(summary[2]).to.match(/^model +\S+\/run\/model$/);
      expect(summary[3]).to.match(/^next +.* test --checkpoint \S+\/run$/);
    });

    it('says what it reads and measures, on stderr', () => {
      expect(ran.stderr).to.contain('data: train 48, dev 16, test 16; labels neg, pos');
      expect(ran.stderr).to.contain('freshly initialized: bert/pooler/dense/kernel');
      for (const epoch of [1, 2, 3]) expect(ran.stderr).to.match(new RegExp(`^epoch ${epoch} \\(.*\\): dev loss`, 'm'));
    });

    it('leaves the files of a run, and no unfinished ones', () => {
      const files = ['checkpoints', 'log.jsonl', 'metrics.json', 'model', 'task.yaml', 'tensorboard'];
      expect(readdirSync(run).sort()).to.deep.equal(files);
      const model = ['config.json', 'model.safetensors', 't4.json', 'vocab.txt'];
      expect(readdirSync(join(run, 'model')).sort()).to.deep.equal(model);
      const { best } = metricsOf(run);
      const kept = [...new Set([best.step, 12, 18])].sort((a, b) => a - b).map(String);
      expect(readdirSync(join(run, 'checkpoints')).sort((a, b) => Number(a) - Number(b))).to.deep.equal(kept);
      expect(readdirSync(join(run, 'checkpoints', '18'))).to.include.members([
        'manifest.json',
        'state.json',
        'weights.index',
      ]);
    });

    it('logs every step and every evaluation, in order', () => {
      const lines = logOf(run);
      const steps = lines.filter((line) => !('dev' in line)).map(({ step }) => step);
      expect(steps).to.deep.equal(Array.from({ length: 18 }, (_, i) => i + 1));
      expect(lines.filter((line) => 'dev' in line).map(({ step }) => step)).to.deep.equal([6, 12, 18]);
    });

    it('names labels, versions and device', () => {
      const metrics = metricsOf(run);
      expect(metrics.train.steps).to.equal(18);
      expect(metrics.test).to.have.property('majority_accuracy', 0.5);
      expect(metrics.precision).to.equal('fp32');
      const config = json(join(run, 'model', 'config.json'));
      expect(config).to.deep.include({ id2label: { 0: 'neg', 1: 'pos' }, label2id: { neg: 0, pos: 1 } });
    });

    it('saves a Hugging Face model with the head', () => {
      const file = openSafetensors(join(run, 'model', 'model.safetensors'));
      expect(file.tensors.get('classifier.weight')?.shape).to.deep.equal([2, 16]);
      expect(file.tensors.get('bert.encoder.layer.1.intermediate.dense.weight')?.shape).to.deep.equal([24, 16]);
      file.close();
    });

    it('is measured again by t4 test to the same numbers', async () => {
      const tested = await t4('test', '--checkpoint', run, '--json');
      expect(tested.code, tested.stderr).to.equal(0);
      const result = testSchema.parse(JSON.parse(tested.stdout));
      const { test } = metricsOf(run);
      expect({ loss: result.loss, accuracy: result.accuracy, macro_f1: result.macro.f1 }).to.deep.equal({
        loss: test?.loss,
        accuracy: test?.accuracy,
        macro_f1: test?.macro_f1,
      });
      expect(json(join(run, 'test.json'))).to.deep.equal(JSON.parse(tested.stdout));
      const predictions = readFileSync(join(run, 'predictions.jsonl'), 'utf8').trimEnd().split('\n');
      expect(predictions).to.have.length(16);
      const right = predictions.filter((line) => {
        const { gold, label } = z.object({ gold: z.string(), label: z.string() }).parse(JSON.parse(line));
        return gold === label;
      });
      expect(right.length / 16).to.equal(result.accuracy);
    });

    it('is measured on its dev file to the best dev numbers', async () => {
      const output = join(folder, 'on-dev');
      const tested = await t4('test', '--checkpoint', run, '--split', 'dev', '--json', '--output', output);
      const { best } = metricsOf(run);
      expect(testSchema.parse(JSON.parse(tested.stdout))).to.include({
        loss: best.dev?.loss,
        accuracy: best.dev?.accuracy,
      });
      expect(existsSync(join(output, 'predictions.jsonl'))).to.be.true;
    });

    it('is tested from its model folder alone', async () => {
      const data = join(task.folder, 'test.tsv');
      const output = join(folder, 'from-model');
      const tested = await t4('test', '--checkpoint', join(run, 'model'), '--data', data, '--json', '--output', output);
      expect(tested.code, tested.stderr).to.equal(0);
      expect(testSchema.parse(JSON.parse(tested.stdout)).loss).to.equal(metricsOf(run).test?.loss);
    });

    it('prints report, confusion matrix and speed in t4 test', async () => {
      const { stdout } = await t4('test', '--checkpoint', run);
      expect(stdout).to.match(/precision +recall +f1-score +support/);
      expect(stdout).to.match(/true \\ predicted +neg +pos/);
      expect(stdout).to.match(/accuracy [\d.]+ on 16 examples in .*: [\d.]+ sentences a second/);
    });

    it('is compared with an earlier test of the same data, and not with another', async () => {
      const [output, before] = [join(folder, 'compared'), join(folder, 'on-test')];
      expect(await t4('test', '--checkpoint', run, '--output', before)).to.include({ code: 0 });
      const tested = await t4('test', '--checkpoint', run, '--output', output, '--compare', before);
      expect(tested.code, tested.stderr).to.equal(0);
      expect(tested.stdout).to.match(/accuracy on the same 16 examples: .*\nboth are right on the same ones/);
      expect(json(join(output, 'test.json'))).to.have.property('comparison');
      const own = await t4('test', '--checkpoint', run, '--compare', run);
      expect(own).to.include({ code: 2 });
      expect(own.stderr).to.contain('is what this test would overwrite');
      const other = await t4('test', '--checkpoint', run, '--split', 'dev', '--output', output, '--compare', before);
      expect(other).to.include({ code: 3 });
    });

    it('is never overwritten', async () => {
      const before = readFileSync(join(run, 'log.jsonl'), 'utf8');
      const again = await t4('finetune', '--task', task.file, '--output', run);
      expect(again).to.include({ code: 2, stdout: '' });
      expect(again.stderr).to.contain('is an earlier run, which is never overwritten');
      expect(readFileSync(join(run, 'log.jsonl'), 'utf8')).to.equal(before);
    });

    it('may be resumed when it is over: it is measured once more', async () => {
      const { test } = metricsOf(run);
      const again = await t4('finetune', '--output', run, '--resume');
      expect(again.code, again.stderr).to.equal(0);
      expect(again.stderr).to.contain('trained to its end already');
      expect(metricsOf(run).test).to.deep.equal(test);
      expect(metricsOf(run).train.steps).to.equal(18);
    });

    it('is not resumed with other settings than its own', async () => {
      const argv = ['finetune', '--task', task.file, '--output', run, '--resume'];
      expect((await t4(...argv)).code).to.equal(0);
      const other = await t4(...argv, '--set', 'training.epochs=5');
      expect(other.code).to.equal(2);
      expect(other.stderr).to.contain('differ in training.epochs');
    });

    it('is repeated bit for bit by its task.yaml', async () => {
      const again = join(folder, 'again');
      expect((await t4('finetune', '--task', join(run, 'task.yaml'), '--output', again)).code).to.equal(0);
      expect(numbersOf(again)).to.deep.equal(numbersOf(run));
      expect(readFileSync(join(again, 'model', 'model.safetensors'))).to.deep.equal(
        readFileSync(join(run, 'model', 'model.safetensors')),
      );
    });

    it('is a model to start from: encoder and, with the same labels, head', async () => {
      const ran = await t4('finetune', '--task', task.file, '--model', join(run, 'model'), '--dry-run', '--json');
      expect(JSON.parse(ran.stdout)).to.deep.include({ freshly_initialized: [] });
      expect(ran.code).to.equal(0);
    });
  });

  it('learns what can be learned', async () => {
    const easy = writeTinyTask(join(folder, 'easy'));
    writeFileSync(join(easy.folder, 'train.tsv'), tsv(sentences(240, 1)));
    const run = join(folder, 'easy-run');
    const ran = await t4('finetune', '--task', easy.file, '--output', run, '--set', 'training.epochs=6');
    expect(ran.code, ran.stderr).to.equal(0);
    const losses = logOf(run).flatMap((line) => ('loss' in line ? [line.loss] : []));
    const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(mean(losses.slice(0, 10))).to.be.above(0.6);
    expect(mean(losses.slice(-10))).to.be.below(0.3);
    expect(metricsOf(run).best.dev?.accuracy).to.be.above(0.9);
    expect(metricsOf(run).test?.accuracy).to.be.above(0.9);
  });

  it('with --json writes one document to stdout and nothing else', async () => {
    const run = join(folder, 'json');
    const ran = await t4('finetune', '--task', task.file, '--output', run, '--json', '--quiet');
    expect(ran).to.include({ code: 0, stderr: '' });
    expect(JSON.parse(ran.stdout)).to.deep.equal({ run, ...(json(join(run, 'metrics.json')) as object) });
  });

  it('with --dry-run checks everything and writes nothing', async () => {
    const run = join(folder, 'dry');
    const ran = await t4('finetune', '--task', task.file, '--output', run, '--dry-run');
    expect(ran.code, ran.stderr).to.equal(0);
    expect(ran.stdout).to.match(/^dry run: all is well\. [\d,]+ parameters, 18 steps \(6 an epoch\)/);
    expect(existsSync(run)).to.be.false;
  });

  it('ends after max_steps, evaluates then, and calls that the end', async () => {
    const run = await finetune('max-steps', '--set', 'training.max_steps=8');
    expect(
      logOf(run)
        .filter((line) => 'dev' in line)
        .map(({ step }) => step),
    ).to.deep.equal([6, 8]);
    expect(metricsOf(run).train.steps).to.equal(8);
  });

  it('holds a share of train out where there is no dev file, the same one for t4 test', async () => {
    const run = await finetune('held-out', '--set', 'data.dev=', '--set', 'data.dev_fraction=0.25');
    expect(logOf(run).filter((line) => !('dev' in line))).to.have.length(15); // 36 sentences left: 5 steps an epoch
    const tested = await t4('test', '--checkpoint', run, '--split', 'dev', '--json');
    const result = testSchema.parse(JSON.parse(tested.stdout));
    expect(result.examples).to.equal(12);
    expect(result.loss).to.equal(metricsOf(run).best.dev?.loss);
  });

  it('without dev keeps the last weights and says so', async () => {
    const run = join(folder, 'no-dev');
    const ran = await t4('finetune', '--task', task.file, '--output', run, '--set', 'data.dev=');
    expect(ran.code, ran.stderr).to.equal(0);
    expect(ran.stderr).to.contain('warning: no dev file');
    expect(metricsOf(run).best).to.deep.equal({ epoch: 3, step: 18 });
    const tested = await t4('test', '--checkpoint', run, '--json');
    expect(testSchema.parse(JSON.parse(tested.stdout)).loss).to.equal(metricsOf(run).test?.loss);
  });

  for (const [what, content] of [
    [
      'no label column',
      `text\n${sentences(4, 5)
        .map(({ text }) => `${text}\n`)
        .join('')}`,
    ],
    [
      'an empty label column',
      `text\tlabel\n${sentences(4, 5)
        .map(({ text }) => `${text}\t\n`)
        .join('')}`,
    ],
  ] as const) {
    it(`leaves a test file with ${what} out, in one line`, async () => {
      writeFileSync(join(task.folder, 'unlabelled.tsv'), content);
      const run = join(folder, what.replaceAll(' ', '-'));
      const ran = await t4('finetune', '--task', task.file, '--output', run, '--set', 'data.test=unlabelled.tsv');
      expect(ran.code, ran.stderr).to.equal(0);
      expect(ran.stderr).to.contain('unlabelled.tsv has no labels: it is left out');
      expect(metricsOf(run).test).to.equal(undefined);
      expect(ran.stdout).to.match(/next +.* --data FILE\n$/);
    });
  }

  it('reads CSV and JSONL to the same run as TSV', async () => {
    const rows = (count: number, seed: number) => sentences(count, seed);
    const csv = (list: ReturnType<typeof rows>) =>
      `text,label\r\n${list.map(({ text, label }) => `"${text}",${label}\r\n`).join('')}`;
    const jsonl = (list: ReturnType<typeof rows>) => list.map((row) => `${JSON.stringify(row)}\n`).join('');
    const expected = numbersOf(await finetune('as-tsv'));
    for (const [format, write] of [
      ['csv', csv],
      ['jsonl', jsonl],
    ] as const) {
      writeFileSync(join(task.folder, `train.${format}`), write(rows(48, 1)));
      writeFileSync(join(task.folder, `dev.${format}`), write(rows(16, 2)));
      const files = ['--set', `data.train=train.${format}`, '--set', `data.dev=dev.${format}`];
      expect(numbersOf(await finetune(`as-${format}`, ...files))).to.deep.equal(expected);
    }
  });

  it('trains and tests pairs', async () => {
    const pairs = writeTinyTask(join(folder, 'pairs'), {
      task: 'pair-classification',
      data: { columns: { text: 0, pair: 1, label: 2 }, test: undefined },
    });
    const lines = (count: number, seed: number) =>
      sentences(count, seed)
        .map(({ text, label }, i) => `${text}\tthe play was ${i % 3 === 0 ? 'fine' : 'dull'}\t${label}\n`)
        .join('');
    writeFileSync(join(pairs.folder, 'train.tsv'), lines(24, 1));
    writeFileSync(join(pairs.folder, 'dev.tsv'), lines(8, 2));
    const run = join(folder, 'pairs-run');
    const ran = await t4('finetune', '--task', pairs.file, '--output', run);
    expect(ran.code, ran.stderr).to.equal(0);
    const tested = await t4('test', '--checkpoint', run, '--split', 'dev', '--json');
    expect(testSchema.parse(JSON.parse(tested.stdout)).loss).to.equal(metricsOf(run).best.dev?.loss);
    expect(readFileSync(join(run, 'predictions.jsonl'), 'utf8')).to.contain('"pair":"the play was fine"');
  });

  it('trains random weights from a configuration by name, and in bf16', async () => {
    writeFileSync(join(task.folder, 'tiny.json'), readFileSync(join(task.model, 'config.json')));
    const random = ['model.source=', 'model.config=./tiny.json', 'model.vocab=./bert'];
    const run = await finetune('bf16', ...random.flatMap((key) => ['--set', key]), '--set', 'training.precision=bf16');
    expect(metricsOf(run).precision).to.equal('bf16');
    const fp32 = await finetune('fp32', ...random.flatMap((key) => ['--set', key]));
    const first = (name: string) => logOf(name).flatMap((line) => ('loss' in line ? [line.loss] : []))[0]!;
    expect(first(run)).to.be.closeTo(first(fp32), 0.02).and.not.to.equal(first(fp32));
    const tested = await t4('test', '--checkpoint', run, '--json');
    expect(testSchema.parse(JSON.parse(tested.stdout)).loss).to.equal(metricsOf(run).test?.loss);
  });

  describe('interrupted', () => {
    const many = ['--set', 'training.epochs=15'];
    let whole: string;
    before(async () => {
      whole = await finetune('whole', ...many);
    });

    for (const [signal, code] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      it(`by ${signal} saves, ends with ${code}, and the printed command ends as if nothing had happened`, async () => {
        const launcher = writeLauncher(folder);
        const run = `after-${signal}`;
        const child = startChild('node', [launcher, 'finetune', '--task', task.file, '--output', run, ...many], folder);
        await child.says(/^epoch 2 /m);
        child.process.kill(signal);
        const ended = await child.ended;
        expect(ended.code, ended.stderr).to.equal(code);
        expect(ended.stdout).to.equal('');
        expect(readdirSync(join(folder, run))).to.not.include('.lock');
        const [, step, command] = /saved after step (\d+) of 90\. Continue with: (.*)\n$/.exec(ended.stderr) ?? [];
        expect(Number(step)).to.be.within(12, 89);
        expect(existsSync(join(folder, run, 'checkpoints', step!, 'state.json'))).to.be.true;
        expect(command).to.equal(`node t4.mjs finetune --output ${run} --resume`);
        const continued = spawnSync('bash', ['-c', command!], { cwd: folder, encoding: 'utf8' });
        expect(continued.status, continued.stderr).to.equal(0);
        expect(continued.stderr).to.contain(`continued from step ${step!} of 90 steps`);
        expect(numbersOf(join(folder, run))).to.deep.equal(numbersOf(whole));
        const [ours, theirs] = [metricsOf(join(folder, run)), metricsOf(whole)];
        expect([ours.best, ours.test, ours.train.steps]).to.deep.equal([theirs.best, theirs.test, 90]);
        expect(readFileSync(join(folder, run, 'model', 'model.safetensors'))).to.deep.equal(
          readFileSync(join(whole, 'model', 'model.safetensors')),
        );
      });
    }

    it('by SIGKILL goes on at once, and not before: two processes never train in one folder', async () => {
      const run = join(folder, 'held');
      const launcher = writeLauncher(folder);
      const child = startChild('node', [launcher, 'finetune', '--task', task.file, '--output', run, ...many], folder);
      await child.says(/^epoch 2 /m);
      child.process.kill('SIGSTOP'); // so that it does not end before it has been asked
      const refused = await t4('finetune', '--output', run, '--resume');
      expect(refused).to.include({ code: 2, stdout: '' });
      expect(refused.stderr).to.match(
        new RegExp(
          `^t4: ${run} is in use: process ${child.process.pid} has had it since .*\\n` +
            ` +Wait until it has ended, or end it: kill ${child.process.pid} \\(it saves first\\); or name another --output\\.\\n$`,
          'm',
        ),
      );
      expect(await t4('finetune', '--output', run, '--resume', '--dry-run')).to.include({ code: 0 });
      child.process.kill('SIGKILL');
      await child.ended;
      expect(readdirSync(run)).to.include('.lock');
      const continued = await t4('finetune', '--output', run, '--resume');
      expect(continued.code, continued.stderr).to.equal(0);
      expect(readdirSync(run)).to.not.include('.lock');
      expect(numbersOf(run)).to.deep.equal(numbersOf(whole));
    });
  });
});
