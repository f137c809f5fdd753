import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { openSafetensors, writeSafetensors } from '../src/checkpoints/safetensors.js';
import { openTensorBundle } from '../src/checkpoints/tensor-bundle.js';
import { sampleOf } from '../src/commands/export-sample.js';
import { loadOwn, verifyExport } from '../src/commands/export-verify.js';
import type { Batch } from '../src/data/batches.js';
import type { Answers } from '../src/export/answers.js';
import type { ExportPrecision } from '../src/export/precision.js';
import { tf } from '../src/graph/index.js';
import { loadTokenizer } from '../src/tokenization/load.js';
import { averageName } from '../src/training/average.js';
import type { EvaluationSet } from '../src/training/evaluate.js';
import { openFinishedModel } from '../src/training/finished-model.js';
import { t4, type Ran } from './support/t4.js';
import { lines, rows, tinyKinds as kinds, tinyRun, type TinyKind } from './support/tiny-runs.js';
import { writeTinyTask } from './support/tiny-task.js';

/** Sets the first value of a weight. */
function changeWeight(model: string, name: string, value: number): void {
  const path = join(model, 'model.safetensors');
  const opened = openSafetensors(path);
  const tensors = Array.from(opened.tensors.values(), (tensor) => ({
    name: tensor.name,
    shape: tensor.shape,
    values: tensor.read(),
  }));
  opened.close();
  tensors.find((tensor) => tensor.name === name)!.values[0] = value;
  writeSafetensors(
    path,
    tensors.map(({ values, ...tensor }) => ({ ...tensor, values: () => values })),
  );
}

const exportSchema = z.strictObject({
  checkpoint: z.string(),
  format: z.string(),
  folder: z.string(),
  model: z.string().optional(),
  version: z.number().optional(),
  architecture: z.string().optional(),
  family: z.literal('bert'),
  labels: z.array(z.string()),
  labels_of: z.string(),
  threshold: z.number().optional(),
  precision: z.enum(['fp32', 'bf16', 'fp16']),
  bytes: z.number(),
  nodes: z.number().optional(),
  signatures: z
    .record(
      z.string(),
      z.object({ inputs: z.record(z.string(), z.unknown()), outputs: z.record(z.string(), z.unknown()) }),
    )
    .optional(),
  verified: z.strictObject({
    on: z.string(),
    examples: z.number(),
    difference: z.number(),
    labels: z.number(),
    metric: z.strictObject({ name: z.string(), model: z.number(), exported: z.number() }).optional(),
  }),
  notes: z.array(z.string()),
  next: z.string(),
});

const labelsTokens = (kind: TinyKind): boolean => ['ner', 'crf', 'spans'].includes(kind);

describe('t4 export', () => {
  let folder: string;
  let output: string;
  const runs = new Map<TinyKind, string>();
  const run = (kind: TinyKind): string => runs.get(kind)!;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 't4-export-'));
    for (const kind of kinds) runs.set(kind, await tinyRun(kind));
  });
  beforeEach(() => {
    output = join(folder, 'served', 'my-model');
  });
  afterEach(() => {
    rmSync(join(folder, 'served'), { recursive: true, force: true });
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  const write = (format: string, checkpoint: string, ...more: readonly string[]): Promise<Ran> =>
    t4('export', '--checkpoint', checkpoint, '--format', format, '--output', output, ...more);

  async function exported(
    format: string,
    checkpoint: string,
    ...more: readonly string[]
  ): Promise<z.infer<typeof exportSchema>> {
    const ran = await write(format, checkpoint, '--json', '--quiet', ...more);
    expect(ran.code, ran.stderr).to.equal(0);
    expect(ran.stderr).to.match(/^(warning: .*\n)?$/);
    return exportSchema.parse(JSON.parse(ran.stdout));
  }

  for (const kind of kinds) {
    it(`${kind}: writes a version for TensorFlow Serving that answers the dev data as the run does`, async () => {
      const result = await exported('saved-model', run(kind));
      const size = kind === 'classification' ? 16 : 40;
      expect(result.verified.examples).to.equal(size);
      expect(result.verified.on).to.match(/^the first \d+ examples of .*(dev|data)\.(tsv|conll|jsonl)$/);
      expect(result.verified.difference).to.be.at.most(1e-5);
      expect(result).to.include({ folder: join(output, '1'), version: 1, model: 'my-model' });
      expect(result.notes).to.deep.equal([]);
      expect(readdirSync(output)).to.deep.equal(['1']);
      expect(readdirSync(join(output, '1')).sort()).to.deep.equal([
        'assets',
        'assets.extra',
        'saved_model.pb',
        'variables',
      ]);
      const { serving_default: main } = result.signatures!;
      const inputs = ['attention_mask', 'input_ids', 'token_type_ids', ...(kind === 'crf' ? ['word_mask'] : [])];
      expect(Object.keys(main!.inputs).sort()).to.deep.equal(inputs);
      const outputs = {
        classification: ['label_ids', 'labels', 'probabilities', 'scores'],
        pairs: ['label_ids', 'labels', 'probabilities', 'scores'],
        sets: ['chosen', 'labels', 'probabilities', 'thresholds'],
        ner: ['label_ids', 'labels', 'probabilities', 'scores'],
        crf: ['label_ids', 'labels', 'path_scores', 'probabilities', 'scores'],
        spans: ['label_ids', 'labels', 'probabilities', 'scores'],
      };
      expect(Object.keys(main!.outputs).sort()).to.deep.equal(outputs[kind]);
      const places = labelsTokens(kind) ? ['ends', 'starts', 'word_mask'] : [];
      const { text, tokenize } = result.signatures!;
      expect(Object.keys(text!.inputs)).to.deep.equal(kind === 'pairs' ? ['text', 'pair'] : ['text']);
      expect(Object.keys(text!.outputs).sort()).to.deep.equal([...outputs[kind], ...places].sort());
      expect(Object.keys(tokenize!.outputs).sort()).to.deep.equal([...new Set([...inputs, ...places])].sort());
      expect(result.next).to.equal(
        `docker run --rm -p 8501:8501 -v ${output}:/models/my-model:ro -e MODEL_NAME=my-model tensorflow/serving`,
      );
      const [assets, model] = [join(output, '1', 'assets'), join(run(kind), 'model')];
      const labels = result.labels.map((label) => `${label}\n`).join('');
      expect(readFileSync(join(assets, 'labels.txt'), 'utf8')).to.equal(labels);
      const card = (path: string): unknown => JSON.parse(readFileSync(join(path, 't4.json'), 'utf8'));
      expect(card(assets)).to.deep.equal(card(model));
      const ids = (path: string): number[] => loadTokenizer(path).encode('a Good film?', 'dull', 16).inputIds;
      expect(ids(assets)).to.deep.equal(ids(model));
    });

    for (const format of ['huggingface', 'tensorflow'] as const) {
      it(`${kind}: the ${format} export answers as the run does`, async () => {
        const result = await exported(format, run(kind));
        expect(result.verified.difference).to.equal(0);
        expect(result.folder).to.equal(output);
        const isToken = labelsTokens(kind);
        const name = `BertFor${isToken ? 'Token' : 'Sequence'}Classification`;
        expect(result.architecture).to.equal(format === 'huggingface' ? name : undefined);
        expect(result.notes.join()).to.match(kind === 'crf' && format === 'huggingface' ? /has no CRF/ : /^[^C]*$/);
        const input = join(folder, 'texts.txt');
        writeFileSync(
          input,
          lines((text, i) => (kind === 'pairs' ? `${text}\t${rows[i]!.text}\n` : `${text}\n`)),
        );
        const columns = kind === 'pairs' ? ['--format', 'lines'] : [];
        const answers = async (model: string): Promise<string> => {
          const ran = await t4('predict', '--checkpoint', model, '--input', input, ...columns);
          expect(ran.code, ran.stderr).to.equal(0);
          return ran.stdout;
        };
        expect(await answers(output)).to.equal(await answers(run(kind)));
      });
    }
  }

  for (const [kind, name, precision] of [
    ['classification', 'accuracy', 'bf16'],
    ['crf', 'f1', 'bf16'],
    ['sets', 'micro_f1', 'fp16'],
  ] as const) {
    it(`${kind}: in ${precision} matrices take half the space, and the metric is measured on all of dev`, async () => {
      const result = await exported('saved-model', run(kind), '--precision', precision);
      expect(result).to.include({ version: 1, precision });
      const { on, examples, difference, metric } = result.verified;
      expect(on).to.match(/^\/.*\.(tsv|conll)$/);
      expect(examples).to.equal(kind === 'classification' ? 16 : 40);
      expect(difference).to.be.within(1e-6, precision === 'fp16' ? 2e-3 : 2e-2);
      expect(metric).to.include({ name });
      expect(metric!.exported).to.be.at.least(metric!.model - 2 / examples);
      if (kind === 'classification') {
        const ran = await t4('test', '--checkpoint', run(kind), '--split', 'dev', '--precision', 'fp32', '--quiet');
        expect(ran.code, ran.stderr).to.equal(0);
        const measured: unknown = JSON.parse(readFileSync(join(run(kind), 'test.json'), 'utf8'));
        expect(measured).to.include({ accuracy: metric!.model });
      }
      const { tensors } = openTensorBundle(join(output, '1', 'variables', 'variables'));
      for (const { name: variable, dtype, shape } of tensors.values()) {
        const narrow = precision === 'fp16' ? 'DT_HALF' : 'DT_BFLOAT16';
        const isMatrix = shape.length === 2 && variable !== 'crf/transitions';
        expect(dtype, variable).to.equal(isMatrix ? narrow : 'DT_FLOAT');
      }
      const card = readFileSync(join(output, '1', 'assets', 't4.json'), 'utf8');
      expect(JSON.parse(card)).to.include({ precision: precision === 'bf16' ? 'bf16' : 'fp32' });
    });
  }

  it('has the averaged weights where training averaged them', async () => {
    const task = writeTinyTask(join(folder, 'tasks', 'averaged'), {
      training: { max_steps: 6, ema_decay: 0.5, precision: 'fp32' },
    });
    const trained = await t4('finetune', '--task', task.file, '--output', join(folder, 'averaged'));
    expect(trained.code, trained.stderr).to.equal(0);
    await exported('saved-model', join(folder, 'averaged'));
    const values = (prefix: string, name: string): number[] =>
      Array.from(openTensorBundle(prefix).tensors.get(name)!.read());
    const [step = ''] = readdirSync(join(folder, 'averaged', 'checkpoints'));
    const saved = (group: string): string => join(folder, 'averaged', 'checkpoints', step, group);
    const served = values(join(output, '1', 'variables', 'variables'), 'classifier/kernel');
    expect(served).to.deep.equal(values(saved('averages'), averageName('classifier/kernel')));
    expect(served).to.not.deep.equal(values(saved('weights'), 'classifier/kernel'));
  });

  it('says what 16 bits change, and refuses what they cannot hold', async () => {
    const ran = await write('saved-model', run('classification'), '--precision', 'bf16');
    expect(ran.code, ran.stderr).to.equal(0);
    expect(ran.stdout).to.match(/^metric +accuracy [\d.]+ in fp32, [\d.]+ in bf16 \([+-][\d.]+\)$/m);
    expect(ran.stdout).to.match(/^written +[\d.]+ KiB in bf16, /m);
    const made = await exported('saved-model', join(run('ner'), 'model'), '--precision', 'fp16');
    expect(made.verified).to.include({ on: '20 sequences that are made up', examples: 20 });
    expect(made.verified.metric).to.equal(undefined);
    rmSync(join(folder, 'served'), { recursive: true });

    const large = join(folder, 'large');
    cpSync(join(run('ner'), 'model'), large, { recursive: true });
    changeWeight(large, 'classifier.weight', 65_520);
    const refused = await write('saved-model', large, '--precision', 'fp16');
    expect(refused).to.include({ code: 7, stdout: '' });
    expect(refused.stderr).to.contain('classifier/kernel has the weight 65520, and half precision ends at 65504');
    expect(existsSync(join(folder, 'served'))).to.equal(false);

    const other = await write('huggingface', run('ner'), '--precision', 'fp16');
    expect(other).to.include({ code: 2, stdout: '' });
    expect(other.stderr).to.contain('--precision fp16: got --format huggingface, expected saved-model');
  });

  it("is read by tfjs-node's own loader, and names the label that t4 predict gives", async () => {
    await exported('saved-model', run('classification'));
    const model = await tf.node.loadSavedModel(join(output, '1'), ['serve'], 'serving_default');
    try {
      for (const text of ['the play was dull', 'good']) {
        const ids = loadTokenizer(join(output, '1', 'assets')).encode(text, undefined, 16).inputIds;
        const input = tf.tensor2d([Array.from(ids)], undefined, 'int32');
        const given = { input_ids: input, token_type_ids: tf.zerosLike(input), attention_mask: tf.onesLike(input) };
        const answer = model.predict(given) as Record<string, { dataSync(): ArrayLike<unknown> }>;
        const predicted = await t4('predict', '--checkpoint', run('classification'), '--text', text);
        const { label, probability } = z
          .object({ label: z.string(), probability: z.number() })
          .parse(JSON.parse(predicted.stdout));
        expect(answer.labels!.dataSync()[0]).to.equal(label);
        expect(answer.scores!.dataSync()[0]).to.be.closeTo(probability, 1e-5);
      }
    } finally {
      model.dispose();
    }
  });

  it('answers texts and pairs, also of bytes that are no text', async () => {
    for (const kind of ['classification', 'pairs'] as const) {
      await exported('saved-model', run(kind));
      const model = await tf.node.loadSavedModel(join(output, '1'), ['serve'], 'text');
      const own = ['a good film', 'dull \ufffd']; // removed by the normalizer
      const bytes = [Buffer.from('a good film'), Buffer.concat([Buffer.from('dull '), Buffer.of(0xff)])];
      try {
        const [text, pair] = [tf.tensor(bytes, [2], 'string'), tf.tensor([...bytes].reverse(), [2], 'string')];
        const given: Record<string, typeof text> = kind === 'pairs' ? { text, pair } : { text };
        const answer = model.predict(given) as Record<string, { dataSync(): ArrayLike<unknown> }>;
        const input = join(folder, 'own.tsv');
        writeFileSync(input, `text\tother\n${own.map((line, i) => `${line}\t${own[1 - i]!}\n`).join('')}`);
        const columns = ['--text-column', 'text', ...(kind === 'pairs' ? ['--pair-column', 'other'] : [])];
        const ran = await t4('predict', '--checkpoint', run(kind), '--input', input, '--format', 'tsv', ...columns);
        expect(ran.code, ran.stderr).to.equal(0);
        const schema = z.object({ label: z.string(), probability: z.number() });
        ran.stdout
          .trimEnd()
          .split('\n')
          .map((line) => schema.parse(JSON.parse(line)))
          .forEach(({ label, probability }, i) => {
            expect(answer.labels!.dataSync()[i]).to.equal(label);
            expect(answer.scores!.dataSync()[i]).to.be.closeTo(probability, 1e-5);
          });
      } finally {
        model.dispose();
        rmSync(output, { recursive: true });
      }
    }
  });

  it('takes the next number that is free, and leaves the versions that are there', async () => {
    for (const name of ['3', '12', 'notes']) mkdirSync(join(output, name), { recursive: true });
    writeFileSync(join(output, '3', 'saved_model.pb'), 'old');
    expect((await exported('saved-model', run('classification'))).version).to.equal(13);
    expect((await exported('saved-model', run('pairs'))).version).to.equal(14);
    expect(readdirSync(output).sort()).to.deep.equal(['12', '13', '14', '3', 'notes']);
    expect(readFileSync(join(output, '3', 'saved_model.pb'), 'utf8')).to.equal('old');
  });

  it('tells what was written, how it was checked, and what to type next', async () => {
    const { code, stdout, stderr } = await write('saved-model', run('sets'));
    expect(code, stderr).to.equal(0);
    for (const line of [
      /^labels +3, any number an example: x, y, z$/m,
      /^written +[\d.]+ KiB in fp32, a graph of \d+ nodes$/m,
      /^serving_default +input_ids, token_type_ids, attention_mask -> labels, chosen, probabilities, thresholds$/m,
      /^classification +input_ids, token_type_ids, attention_mask -> classes, scores$/m,
      /^text +text -> labels, chosen, probabilities, thresholds$/m,
      /^tokenize +text -> input_ids, token_type_ids, attention_mask$/m,
      /^checked +the first 40 examples of .*data\.tsv: labels the same, the largest difference of two probabilities is /m,
      /^result +.*my-model\/1 \(version 1\)$/m,
      /^next +docker run .*\n$/m,
    ]) {
      expect(stdout).to.match(line);
    }
    const inspected = await t4('inspect', output);
    expect(inspected.code, inspected.stderr).to.equal(0);
    expect(inspected.stdout).to.contain('serving_default');
  });

  it('is called as the run and the format, in the current folder', async () => {
    const before = process.cwd();
    mkdirSync(output, { recursive: true });
    process.chdir(output);
    try {
      for (const [checkpoint, format] of [
        [run('pairs'), 'saved-model'],
        [join(run('pairs'), 'model'), 'huggingface'],
      ] as const) {
        const ran = await t4('export', '--checkpoint', checkpoint, '--format', format);
        expect(ran.code, ran.stderr).to.equal(0);
      }
    } finally {
      process.chdir(before);
    }
    expect(readdirSync(output).sort()).to.deep.equal(['pairs-huggingface', 'pairs-saved-model']);
    expect(readdirSync(join(output, 'pairs-saved-model'))).to.deep.equal(['1']);
  });

  it('is checked with inputs that are made up where there is no run, or its data is gone', async () => {
    for (const kind of kinds) {
      const made = await exported('saved-model', join(run(kind), 'model'));
      expect(made.verified).to.include({ on: '20 sequences that are made up', examples: 20 });
      rmSync(output, { recursive: true });
    }
    const moved = join(folder, 'moved');
    cpSync(run('pairs'), moved, { recursive: true });
    const task = readFileSync(join(moved, 'task.yaml'), 'utf8');
    writeFileSync(join(moved, 'task.yaml'), task.replaceAll('data.tsv', 'gone.tsv'));
    const ran = await write('saved-model', moved);
    expect(ran.code, ran.stderr).to.equal(0);
    expect(ran.stderr).to.match(
      /checked with 20 sequences that are made up, because the run's dev data cannot be read: .*gone/,
    );
  });

  it('says that it computes in fp32 where the training did not', async () => {
    const model = join(folder, 'narrow');
    cpSync(join(run('classification'), 'model'), model, { recursive: true });
    const card = join(model, 't4.json');
    writeFileSync(card, readFileSync(card, 'utf8').replace('fp32', 'bf16'));
    const ran = await write('saved-model', model);
    expect(ran.code, ran.stderr).to.equal(0);
    expect(ran.stderr).to.contain('the training computed in bf16; the export computes in fp32');
    expect(readFileSync(join(output, '1', 'assets', 't4.json'), 'utf8')).to.contain('"fp32"');
  });

  it('a model of others is exported with a card that says what it is', async () => {
    const foreign = join(folder, 'foreign');
    cpSync(join(run('sets'), 'model'), foreign, { recursive: true });
    rmSync(join(foreign, 't4.json'));
    await exported('saved-model', foreign);
    expect(JSON.parse(readFileSync(join(output, '1', 'assets', 't4.json'), 'utf8'))).to.deep.equal({
      version: 1,
      task: 'multi-label-classification',
      labels: ['x', 'y', 'z'],
      maxLength: 20,
      threshold: 0.5,
      precision: 'fp32',
    });
    rmSync(output, { recursive: true });
    await exported('tensorflow', foreign);
    const [own, again] = await Promise.all(
      [foreign, output].map((model) => t4('predict', '--checkpoint', model, '--text', 'a film', '--precision', 'fp32')),
    );
    expect(again).to.deep.include({ code: 0, stdout: own!.stdout });
  });

  it('leaves nothing where the model has no answers', async () => {
    const broken = join(folder, 'broken');
    cpSync(join(run('ner'), 'model'), broken, { recursive: true });
    changeWeight(broken, 'classifier.bias', NaN);
    for (const format of ['saved-model', 'huggingface', 'tensorflow']) {
      const ran = await write(format, broken);
      expect(ran).to.include({ code: 7, stdout: '' });
      expect(ran.stderr).to.contain('the model answers with numbers that are none (NaN) on 20 sequences');
      expect(existsSync(join(folder, 'served'))).to.equal(false);
    }
  });

  it('fails where the export answers something else', async () => {
    const finished = openFinishedModel(join(run('ner'), 'model'));
    try {
      const watch = { exitCode: undefined, poll: () => Promise.resolve(), stop: () => undefined };
      const bar = { update: () => undefined, stop: () => undefined };
      const sample = sampleOf(finished.folder, finished, 'fp32');
      const changed = (change: (answers: Answers) => Partial<Answers>) => () => {
        const own = loadOwn(finished);
        const answer = (batch: Batch): Answers => {
          const answers = own.answer(batch);
          return { ...answers, ...change(answers) };
        };
        return { ...own, answer };
      };
      const message = async (
        change: (answers: Answers) => Partial<Answers>,
        precision: ExportPrecision = 'fp32',
        asked = sample,
      ): Promise<string> => {
        try {
          return JSON.stringify(await verifyExport(finished, precision, changed(change), asked, watch, bar));
        } catch (error) {
          return String(error);
        }
      };
      expect(await message(() => ({}))).to.equal('{"difference":0,"labels":0}');
      const moved = await message(({ probabilities }) => ({ probabilities: probabilities.map((p) => p + 2e-5) }));
      expect(moved).to.match(
        /^Error: what was exported answers something else .* 20 seq.*: probabilities differ by 0?.*2/,
      );
      expect(moved).to.contain('0 labels differ');
      const named = await message(({ labels }) => ({ labels: labels.map((label) => (label === 0 ? 1 : label)) }));
      expect(named).to.match(/probabilities differ by 0, .*; [1-9]\d* labels differ/);
      const far = await message(({ probabilities }) => ({ probabilities: probabilities.map((p) => p + 0.06) }), 'bf16');
      expect(far).to.match(/numbers do not hold in bf16: on 20 seq.*, probabilities differ by 0.0600, at most 0.05/);
      const none = await message(({ probabilities }) => ({ probabilities: probabilities.map(() => NaN) }), 'fp16');
      expect(none).to.match(/numbers do not hold in fp16: on 20 seq.*, probabilities are no numbers \(NaN\)/);
      const dev = sampleOf(run('ner'), finished, 'bf16');
      const asIs = await message(() => ({}), 'bf16', dev);
      expect(asIs).to.match(/^\{"difference":0,"labels":0,"metric":\{"name":"f1","model":([\d.]+),"exported":\1\}\}$/);
      const falling = async (...values: number[]): Promise<string> => {
        const scored: EvaluationSet['evaluate'] = async (predict, onBatch) => {
          const evaluation = await dev.set!.evaluate(predict, onBatch);
          return evaluation && { ...evaluation, scores: { f1: values.shift()! } };
        };
        return message(() => ({}), 'bf16', { ...dev, set: { ...dev.set!, evaluate: scored } });
      };
      expect(await falling(0.75, 0.7)).to.contain('"metric":{"name":"f1","model":0.75,"exported":0.7}');
      expect(await falling(0.75, 0.6875)).to.match(
        /do not hold in bf16: on .*data\.conll, f1 falls from 0.7500 to 0.6875, by more than 0.0500$/,
      );
    } finally {
      finished.checkpoint.close();
    }
  });

  it('refuses a place where something else is', async () => {
    mkdirSync(output, { recursive: true });
    writeFileSync(join(output, 'notes.txt'), 'mine');
    for (const [format, message] of [
      ['saved-model', 'is not empty, and has no version of an exported model'],
      ['huggingface', 'is not empty'],
      ['tensorflow', 'is not empty'],
    ] as const) {
      const ran = await write(format, run('pairs'));
      expect(ran).to.include({ code: 2, stdout: '' });
      expect(ran.stderr).to.contain(`${output} ${message}`);
    }
    expect(readdirSync(output)).to.deep.equal(['notes.txt']);
    output = join(output, 'notes.txt');
    const file = await write('saved-model', run('pairs'));
    expect(file.code).to.equal(2);
    expect(file.stderr).to.contain('is a file, expected a folder');
    output = join(output, 'below');
    const below = await write('saved-model', run('pairs'));
    expect(below.code).to.equal(7);
    expect(below.stderr).to.contain('cannot be made');
  });

  it('refuses the folder of one version', async () => {
    await exported('saved-model', run('pairs'));
    output = join(output, '1');
    const ran = await write('saved-model', run('pairs'));
    expect(ran.code).to.equal(2);
    expect(ran.stderr).to.contain('is itself a SavedModel');
    expect(existsSync(join(output, '1'))).to.equal(false);
  });

  it('says what of the command line is wrong', async () => {
    const cases: [argv: string[], message: string][] = [
      [['--format', 'saved-model'], '--checkpoint is missing'],
      [['--checkpoint', run('ner')], '--format is missing'],
      [['--checkpoint', run('ner'), '--format', 'savedmodel'], '(did you mean saved-model?)'],
      [['--checkpoint', join(folder, 'absent'), '--format', 'huggingface'], 'absent does not exist'],
    ];
    for (const [argv, message] of cases) {
      const ran = await t4('export', ...argv);
      expect(ran).to.include({ code: 2, stdout: '' });
      expect(ran.stderr).to.contain(message);
    }
  });
});
