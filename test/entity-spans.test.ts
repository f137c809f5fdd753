import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { t4 } from './support/t4.js';

/** Made texts: after 在 stands a place, after 叫 a person, also such as are one word of several letters. */
const places = ['北京', 'York', '安海门'];
const persons = ['王安', 'Ann', '西门京'];
const fillers = ['他', '我们 ', '😀', '来了', ' 北京', '江海', '，', ' the '];

interface Entity {
  readonly start: number;
  readonly end: number;
  readonly label: string;
}

function textOf(seed: number): { text: string; entities: Entity[] } {
  let text = '';
  const entities: Entity[] = [];
  const add = (part: string, label?: string): void => {
    const start = Array.from(text).length;
    text += part;
    if (label !== undefined) entities.push({ start, end: Array.from(text).length, label });
  };
  for (let part = 0; part < 3; part++) {
    add(fillers[(seed * 5 + part * 3) % fillers.length]!);
    if ((seed + part) % 3 === 0) {
      add('在');
      add(places[Math.floor(seed / 3) % places.length]!, 'LOC');
    } else if ((seed + part) % 3 === 1) {
      add('叫');
      add(persons[(seed * 11 + part) % persons.length]!, 'PER');
    }
  }
  return { text, entities };
}

const jsonl = (rows: readonly unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const texts = (from: number, count: number) => Array.from({ length: count }, (_, i) => textOf(from + i));

const config = {
  model_type: 'bert',
  vocab_size: 21128,
  hidden_size: 32,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 64,
  hidden_act: 'gelu',
  hidden_dropout_prob: 0,
  attention_probs_dropout_prob: 0,
  max_position_embeddings: 64,
  type_vocab_size: 2,
  vocab: 'bert-base-chinese',
};

const task = (data = 'format: jsonl'): string => `
task: ner
data:
  train: train.jsonl
  dev: dev.jsonl
  test: test.jsonl
  ${data}
model: { config: ./config.json, vocab: bert-base-chinese, max_length: 32 }
training: { epochs: 8, batch_size: 8, learning_rate: 0.01, precision: fp32 }
`;

const spanSchema = z.object({ start: z.number(), end: z.number(), label: z.string(), text: z.string() });

describe('entities given by their places in texts', () => {
  let folder: string;
  let run: string;
  const file = (name: string, content: string): string => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };
  const read = (path: string): string[] => readFileSync(path, 'utf8').trimEnd().split('\n');

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 't4-spans-'));
    run = join(folder, 'run');
    file('config.json', JSON.stringify(config));
    file('train.jsonl', jsonl(texts(0, 96)));
    file('dev.jsonl', jsonl(texts(100, 24)));
    file('test.jsonl', jsonl(texts(200, 24)));
    const ran = await t4('finetune', '--task', file('task.yaml', task()), '--output', run);
    expect(ran.code, ran.stderr).to.equal(0);
    expect(ran.stderr).to.contain('labels O, B-LOC, I-LOC, B-PER, I-PER');
    expect(ran.stdout).to.match(/test +F1 /);
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('are learned and tested, with their places in the predictions', async () => {
    const ran = await t4('test', '--checkpoint', run, '--json');
    expect(ran.code, ran.stderr).to.equal(0);
    const result = z.object({ f1: z.number(), entities: z.number() }).parse(JSON.parse(ran.stdout));
    expect(result.f1).to.be.above(0.9);
    expect(result.entities).to.equal(texts(200, 24).reduce((sum, { entities }) => sum + entities.length, 0));
    const schema = z.object({ text: z.string(), gold_entities: z.array(spanSchema), entities: z.array(spanSchema) });
    const lines = read(join(run, 'predictions.jsonl')).map((line) => schema.parse(JSON.parse(line)));
    expect(
      lines.map(({ text, gold_entities: gold }) => ({
        text,
        entities: gold.map(({ start, end, label }) => ({ start, end, label })),
      })),
    ).to.deep.equal(texts(200, 24));
    for (const { text, entities } of lines) {
      for (const { start, end, text: found } of entities) {
        expect(Array.from(text).slice(start, end).join('')).to.equal(found);
      }
    }
  });

  it('are found in new texts, which are split as those of the training were', async () => {
    const card: unknown = JSON.parse(readFileSync(join(run, 'model', 't4.json'), 'utf8'));
    expect(card).to.include({ words: 'split', format: 'jsonl' });
    const input = file('new.jsonl', jsonl(texts(200, 24).map(({ text }) => ({ text }))));
    const ran = await t4('predict', '--checkpoint', run, '--input', input);
    expect(ran.code, ran.stderr).to.equal(0);
    const schema = z.object({ entities: z.array(spanSchema) });
    const entitiesOf = (lines: readonly string[]) => lines.map((line) => schema.parse(JSON.parse(line)).entities);
    const found = entitiesOf(ran.stdout.trimEnd().split('\n'));
    expect(found).to.deep.equal(entitiesOf(read(join(run, 'predictions.jsonl'))));
    expect(found.flat().map(({ text }) => text)).to.include.members(['Ann', 'York', '北京']);
  });

  it('are tested in any file: with other keys, of predictions, and of words that come one a line', async () => {
    const test = (...argv: string[]) =>
      t4('test', '--checkpoint', join(run, 'model'), '--output', join(folder, 'out'), '--json', ...argv);
    const f1Of = async (...argv: string[]): Promise<number> => {
      const ran = await test(...argv);
      expect(ran.code, ran.stderr).to.equal(0);
      return z.object({ f1: z.number() }).parse(JSON.parse(ran.stdout)).f1;
    };
    const rows = texts(200, 24);
    const f1 = await f1Of('--data', join(folder, 'test.jsonl'));
    const renamed = file('renamed.jsonl', jsonl(rows.map(({ text, entities }) => ({ s: text, spans: entities }))));
    expect(await f1Of('--data', renamed, '--text-column', 's', '--label-column', 'spans')).to.equal(f1);
    const missing = await test('--data', renamed);
    expect(missing).to.include({ code: 3, stdout: '' });
    expect(missing.stderr).to.contain('renamed.jsonl: the objects have s, spans, expected text');
    const predicted = await t4('predict', '--checkpoint', run, '--input', join(folder, 'test.jsonl'));
    const answers = predicted.stdout.trimEnd().split('\n');
    const own = rows.map(({ text }, i) => ({
      text,
      ...z.record(z.string(), z.unknown()).parse(JSON.parse(answers[i]!)),
    }));
    expect(await f1Of('--data', file('own.jsonl', jsonl(own)))).to.equal(1);
    const schema = z.object({ words: z.array(z.string()), gold: z.array(z.string()) });
    const sentences = read(join(run, 'predictions.jsonl')).map((line) => {
      const { words, gold } = schema.parse(JSON.parse(line));
      return words.map((word, i) => `${word} ${gold[i]!}\n`).join('');
    });
    expect(await f1Of('--data', file('words.conll', sentences.join('\n')))).to.equal(f1);
  });

  it('are left out of the run where the test file has none', async () => {
    const bare = file('bare.jsonl', jsonl(texts(200, 3).map(({ text }) => ({ text }))));
    const dry = (...set: string[]) =>
      t4('finetune', '--task', join(folder, 'task.yaml'), '--dry-run', ...set.flatMap((pair) => ['--set', pair]));
    const ran = await dry('data.test=bare.jsonl');
    expect(ran.code, ran.stderr).to.equal(0);
    expect(ran.stderr).to.contain(`${bare} has no labels: it is left out`);
    const words = file('bare.conll', '他\n在\n\n人\n');
    const other = await dry('data.test=bare.conll', 'data.format=');
    expect(other.code, other.stderr).to.equal(0);
    expect(other.stderr).to.contain(`${words} has no labels: it is left out`);
    const dev = await dry('data.dev=bare.jsonl');
    expect(dev).to.include({ code: 3, stdout: '' });
    expect(dev.stderr).to.contain('bare.jsonl: the objects have text, expected entities');
  });

  it('are checked before the training: each fault with its line, by data check together with the rest', async () => {
    const [good] = texts(0, 1);
    const cut = { text: 'Annabel叫', entities: [{ start: 0, end: 3, label: 'PER' }] };
    file('bad.jsonl', jsonl([...texts(0, 8), cut, good, { text: '他', entities: [{ start: 0, end: 1, label: 'O' }] }]));
    const set = ['--set', 'data.train=bad.jsonl'];
    const ran = await t4('finetune', '--task', join(folder, 'task.yaml'), '--dry-run', ...set);
    expect(ran).to.include({ code: 3, stdout: '' });
    expect(ran.stderr).to.contain('bad.jsonl:9: got an entity from 0 to 3 that cuts "Annabel", expected whole words');
    expect(ran.stderr).to.contain('bad.jsonl:11: got the label O for an entity');
    const checked = await t4('data', 'check', '--task', join(folder, 'task.yaml'), ...set, '--json');
    expect(checked.code, checked.stderr).to.equal(3);
    const report = z
      .object({
        files: z.array(z.object({ examples: z.number() })),
        findings: z.array(
          z.object({ kind: z.string(), file: z.string(), lines: z.array(z.object({ line: z.number() })) }),
        ),
      })
      .parse(JSON.parse(checked.stdout));
    expect(report.files[0]!.examples).to.equal(9);
    const linesOf = (kind: string) =>
      report.findings
        .filter((finding) => finding.kind === kind && finding.file.endsWith('bad.jsonl'))
        .flatMap(({ lines }) => lines.map(({ line }) => line));
    expect(linesOf('bad-line')).to.deep.equal([9, 11]);
    // Line 10 repeats line 1, between the bad ones.
    expect(linesOf('duplicate')).to.deep.equal([10]);
    const shown = await t4('data', 'show', '--task', join(folder, 'task.yaml'), '-n', '1', '--json');
    expect(shown.code, shown.stderr).to.equal(0);
    expect(shown.stdout).to.contain(JSON.stringify(good!.text));
  });

  it('have keys for columns, and formats that can hold them', async () => {
    const show = (data: string) => t4('config', 'show', '--task', file('other.yaml', task(data)));
    expect(await show('columns: { text: s, label: spans }')).to.include({ code: 0 });
    const positions = await show('columns: { text: 0, label: 1 }');
    expect(positions).to.include({ code: 2, stdout: '' });
    expect(positions.stderr).to.contain('expected the keys of the text and of its entities (the files are jsonl)');
    const names = await show('format: conll\n  columns: { text: s, label: spans }');
    expect(names.stderr).to.contain('expected positions counted from 0 (task is ner, and its files have no header)');
    const table = await show('format: csv');
    expect(table.stderr).to.contain('expected conll or jsonl (task is ner)');
  });
});
