import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { t4 } from './support/t4.js';

/** Made sentences: after 在 stands a place, after 叫 a person; the same characters elsewhere are neither. */
const places = ['北京', '江西', '安海门'];
const persons = ['王安', '江海', '西门京'];
const fillers = ['他', '我们', '人', '来了', '北京', '江海', '，', '2'];

function sentence(seed: number): [word: string, tag: string][] {
  const words: [string, string][] = [];
  const add = (text: string, type?: string): void => {
    Array.from(text).forEach((word, i) =>
      words.push([word, type === undefined ? 'O' : `${i === 0 ? 'B' : 'I'}-${type}`]),
    );
  };
  for (let part = 0; part < 3; part++) {
    add(fillers[(seed * 5 + part * 3) % fillers.length]!);
    if ((seed + part) % 3 === 0) {
      add('在');
      add(places[(seed * 7 + part) % places.length]!, 'LOC');
    } else if ((seed + part) % 3 === 1) {
      add('叫');
      add(persons[(seed * 11 + part) % persons.length]!, 'PER');
    }
  }
  return words;
}

const conll = (from: number, count: number): string =>
  Array.from({ length: count }, (_, i) =>
    sentence(from + i)
      .map(([word, tag]) => `${word} ${tag}\n`)
      .join(''),
  ).join('\n');

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

const task = (more = ''): string => `
task: ner
data:
  train: train.conll
  dev: dev.conll
  test: test.conll
  format: conll
${more}
model: { config: ./config.json, vocab: bert-base-chinese, max_length: 32 }
training: { epochs: 8, batch_size: 8, learning_rate: 0.01, precision: fp32 }
`;

const resultSchema = z.object({
  f1: z.number(),
  entities: z.number(),
  strict: z.object({ scheme: z.literal('IOB2'), f1: z.number() }),
  types: z.record(z.string(), z.object({ f1: z.number(), support: z.number() })),
  intervals: z.object({ f1: z.object({ low: z.number(), high: z.number() }) }),
});

const json = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));

describe('named entities', () => {
  let folder: string;
  let run: string;
  const file = (name: string, content: string): string => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 't4-entities-'));
    file('train.conll', conll(0, 96));
    file('dev.conll', conll(100, 24));
    file('test.conll', conll(200, 24));
    file('config.json', JSON.stringify(config));
    run = join(folder, 'run');
    const ran = await t4('finetune', '--task', file('task.yaml', task()), '--output', run);
    expect(ran.code, ran.stderr).to.equal(0);
    expect(ran.stdout).to.match(/best dev +F1 [\d.]+, precision [\d.]+, recall [\d.]+ \(epoch \d\)/);
    expect(ran.stdout).to.match(/test +F1 /);
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('are learned', () => {
    const scores = z.object({ f1: z.number(), accuracy: z.number() });
    const metrics = z.object({ best: z.object({ dev: scores }), test: scores }).parse(json(join(run, 'metrics.json')));
    expect(metrics.test.f1).to.be.above(0.9);
    expect(metrics.best.dev.f1).to.be.above(0.9);
  });

  it('leave a model whose class and labels Transformers knows', () => {
    const model = z
      .object({ architectures: z.array(z.string()), id2label: z.record(z.string(), z.string()) })
      .parse(json(join(run, 'model', 'config.json')));
    expect(model.architectures).to.deep.equal(['BertForTokenClassification']);
    expect(Object.values(model.id2label)).to.deep.equal(['B-LOC', 'B-PER', 'I-LOC', 'I-PER', 'O']);
    expect(json(join(run, 'model', 't4.json'))).to.include({ task: 'ner', words: 'characters' });
  });

  it('are measured by t4 test, with every sentence written', async () => {
    const tested = await t4('test', '--checkpoint', run, '--json');
    expect(tested.code, tested.stderr).to.equal(0);
    const result = resultSchema.parse(JSON.parse(tested.stdout));
    const metrics = z.object({ test: z.object({ f1: z.number() }) }).parse(json(join(run, 'metrics.json')));
    expect(result.f1).to.equal(metrics.test.f1);
    expect(result.intervals.f1.low).to.be.at.most(result.f1);
    expect(result.types.LOC!.support + result.types.PER!.support).to.equal(result.entities);
    const lines = readFileSync(join(run, 'predictions.jsonl'), 'utf8').trimEnd().split('\n');
    expect(lines).to.have.length(24);
    const words = z.object({ words: z.array(z.string()), gold: z.array(z.string()) }).parse(JSON.parse(lines[3]!));
    expect(words.words.map((word, i) => [word, words.gold[i]])).to.deep.equal(sentence(203));
  });

  it('are found in texts, also in one that is longer than the model', async () => {
    const long = '他在北京，'.repeat(12);
    const text = await t4('predict', '--checkpoint', run, '--input', file('texts.txt', `我们叫王安来了\n${long}\n`));
    expect(text.code, text.stderr).to.equal(0);
    const entitiesSchema = z.object({
      entities: z.array(z.object({ start: z.number(), end: z.number(), label: z.string(), text: z.string() })),
    });
    const [short, windowed] = text.stdout
      .trimEnd()
      .split('\n')
      .map((line) => entitiesSchema.parse(JSON.parse(line)).entities);
    expect(short).to.deep.equal([{ start: 3, end: 5, label: 'PER', text: '王安' }]);
    // The window has 30 characters, and so small a model misses some in so strange a text.
    expect(windowed!.at(-1)!.end).to.be.above(40);
    for (const { start, end, text: found } of windowed!) expect(long.slice(start, end)).to.equal(found);
    expect(windowed!.map(({ start }) => start)).to.deep.equal(
      windowed!.map(({ start }) => start).sort((a, b) => a - b),
    );
  });

  it('are tested in columns of the user', async () => {
    const rows = sentence(5).map(([word, tag], i) => `${i}\t${tag}\t${word}\n`);
    const data = file('columns.tsv', rows.join(''));
    const argv = ['--checkpoint', join(run, 'model'), '--output', join(folder, 'columns'), '--data', data];
    const ran = await t4('test', ...argv, '--text-column', '2', '--label-column', '1', '--json');
    expect(ran.code, ran.stderr).to.equal(0);
    const named = await t4('test', ...argv, '--text-column', 'word');
    expect(named).to.include({ code: 2, stdout: '' });
    expect(named.stderr).to.contain('--text-column: got word, expected a position counted from 0');
    const format = await t4('test', ...argv, '--format', 'csv');
    expect(format).to.include({ code: 2, stdout: '' });
    expect(format.stderr).to.contain('the model labels words');
  });

  it('are labelled together by a CRF, which no tags break the rules of', async () => {
    const field = join(folder, 'field');
    // One sentence begins an entity in its middle: it is learned as the entity that it is read as.
    file('train.conll', `江 I-LOC\n西 I-LOC\n人 O\n\n${conll(0, 96)}`);
    const ran = await t4('finetune', '--task', join(folder, 'task.yaml'), '--output', field, '--set', 'model.crf=true');
    file('train.conll', conll(0, 96));
    expect(ran.code, ran.stderr).to.equal(0);
    expect(json(join(field, 'model', 't4.json'))).to.include({ field: 'ruled' });
    const tested = await t4('test', '--checkpoint', field, '--json');
    expect(tested.code, tested.stderr).to.equal(0);
    const result = resultSchema.parse(JSON.parse(tested.stdout));
    expect(result.f1).to.be.above(0.9);
    // Both ways of reading tags agree where all keep to the rules.
    expect(result.strict.f1).to.equal(result.f1);
    const predicted = readFileSync(join(field, 'predictions.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => z.object({ predicted: z.array(z.string()) }).parse(JSON.parse(line)).predicted);
    for (const tags of predicted) {
      tags.forEach((tag, i) => {
        if (tag.startsWith('I-')) expect(tags[i - 1]?.slice(2)).to.equal(tag.slice(2));
      });
    }
    const found = await t4('predict', '--checkpoint', join(field, 'model'), '--text', '我们叫王安来了');
    expect(found.code, found.stderr).to.equal(0);
    expect(found.stdout).to.contain('"text":"王安"');
    const inspected = await t4('inspect', field, '--json');
    expect(inspected.code, inspected.stderr).to.equal(0);
    const converted = join(folder, 'converted');
    const convertion = await t4('convert', '--to', 'huggingface', join(field, 'model'), '--output', converted);
    expect(convertion.code, convertion.stderr).to.equal(0);
    const argv = ['--data', join(folder, 'test.conll'), '--output', join(folder, 'again')];
    const again = await t4('test', '--checkpoint', converted, ...argv, '--json');
    expect(again.code, again.stderr).to.equal(0);
    expect(resultSchema.parse(JSON.parse(again.stdout)).f1).to.equal(result.f1);
  });

  it('have a CRF only where they are to be found, and without another loss', async () => {
    const set = (...pairs: string[]) => pairs.flatMap((pair) => ['--set', pair]);
    const path = join(folder, 'task.yaml');
    const loss = await t4('config', 'show', '--task', path, ...set('model.crf=true', 'training.focal_gamma=2'));
    expect(loss).to.include({ code: 2, stdout: '' });
    expect(loss.stderr).to.contain('a CRF has a loss of its own');
    const other = await t4('config', 'show', '--task', 'sst-2', ...set('model.crf=true'));
    expect(other).to.include({ code: 2, stdout: '' });
    expect(other.stderr).to.contain('it belongs to task: ner');
  });

  it('are not made up where the data are bad: each line is named', async () => {
    file('broken.conll', '他 O\n北\n京 I-LOC O\n\n他 O\n叫 PERSON-B\n');
    const bad = file('bad.yaml', task().replace('train.conll', 'broken.conll'));
    const ran = await t4('finetune', '--task', bad, '--output', join(folder, 'bad'));
    expect(ran).to.include({ code: 3, stdout: '' });
    expect(ran.stderr).to.contain('broken.conll:2: got 1 column, expected 2 as in line 1');
    expect(ran.stderr).to.contain('broken.conll:6: got label "PERSON-B"');
    expect(existsSync(join(folder, 'bad'))).to.be.false;
    const unknown = file('unknown.yaml', task('  labels: [O, B-LOC, I-LOC]'));
    const other = await t4('finetune', '--task', unknown, '--output', join(folder, 'bad'));
    expect(other).to.include({ code: 3, stdout: '' });
    expect(other.stderr).to.contain('got label "B-PER", expected one of O, B-LOC, I-LOC');
  });
});
