import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { UserError } from '../errors.js';
import { packageRoot } from '../package-root.js';
import { loadTask, type LoadTaskOptions, taskNames, taskYaml } from './load.js';
import { editorSchema } from './schema.js';

const good = `task: classification
data:
  train: train.tsv
  columns: { text: 0, label: 1 }
model:
  source: ./model
`;

describe('loading a task', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-load-'));
    mkdirSync(join(folder, 'data'));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  function file(text: string | Buffer, name = 'task.yaml'): string {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  }

  function load(text: string, options: Partial<LoadTaskOptions> = {}) {
    return loadTask({ task: file(text), overrides: [], env: {}, ...options });
  }

  /** The message's lines, the folder taken out. */
  function complaint(action: () => unknown): string[] {
    try {
      action();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      expect(error.exitCode).to.equal(2);
      return error.message.replaceAll(`${folder}/`, '').split('\n');
    }
    throw new Error('expected a UserError');
  }

  it('resolves every task that comes with t4', () => {
    expect(taskNames()).to.include.members([
      'chinadaily',
      'chinadaily-albert',
      'chinadaily-albert-crf',
      'chinadaily-crf',
      'chnsenticorp',
      'chnsenticorp-albert',
      'demo',
      'lcqmc',
      'lcqmc-albert',
      'sst-2',
      'sst-2-distilbert',
      'sst-2-glue',
    ]);
    for (const name of taskNames()) {
      const task = loadTask({ task: name, overrides: [], env: {} });
      expect(task.name).to.equal(name);
    }
  });

  it('has a schema beside the tasks that come with t4, for editors', () => {
    const tasks = join(packageRoot(), 'tasks');
    for (const name of taskNames()) {
      const [first] = readFileSync(join(tasks, `${name}.yaml`), 'utf8').split('\n', 1);
      expect(first, name).to.equal('# yaml-language-server: $schema=./task.schema.json');
    }
    const kept: unknown = JSON.parse(readFileSync(join(tasks, 'task.schema.json'), 'utf8'));
    expect(kept, 'after a change: t4 config schema > tasks/task.schema.json').to.deep.equal(editorSchema());
    expect(taskNames()).not.to.include('task.schema');
  });

  it('names the nearest task', () => {
    expect(complaint(() => loadTask({ task: 'sst2', overrides: [] }))[0]).to.equal(
      'unknown task sst2 (did you mean sst-2?)',
    );
  });

  it('resolves data by --data, then T4_DATA, then the file, and keeps what was written', () => {
    const env = { T4_DATA: join(folder, 'data') };
    expect(load(good).data.train).to.deep.equal({ text: 'train.tsv', path: join(folder, 'train.tsv') });
    expect(load(good, { env }).data.train.path).to.equal(join(folder, 'data', 'train.tsv'));
    expect(load(good, { env, dataDir: '/' }).data.train.path).to.equal('/train.tsv');
    expect(load(good, { env, dataDir: '/' }).data.dev).to.equal(undefined);
  });

  it('keeps ./ paths beside the task file even where T4_DATA is set', () => {
    const env = { T4_DATA: join(folder, 'data') };
    const beside = good.replace('train.tsv', './train.tsv');
    expect(load(beside, { env }).data.train.path).to.equal(join(folder, 'train.tsv'));
    expect(load(beside, { env, dataDir: '/' }).data.train.path).to.equal('/train.tsv');
  });

  it('refuses a data folder that is not there', () => {
    expect(complaint(() => load(good, { env: { T4_DATA: '/nowhere' } }))).to.deep.equal([
      'T4_DATA: got /nowhere, expected an existing folder',
    ]);
    expect(complaint(() => load(good, { dataDir: '/nowhere' }))[0]).to.contain('--data: got /nowhere');
  });

  it('resolves a model folder by the task file, --model by the current directory', () => {
    expect(load(good).model).to.deep.equal({ kind: 'pretrained', source: join(folder, 'model') });
    expect(load(good, { model: 'some/model' }).model).to.deep.equal({
      kind: 'pretrained',
      source: join(process.cwd(), 'some/model'),
    });
    expect(load(good, { model: 'pypi:a@1.0' }).model).to.deep.equal({ kind: 'pretrained', source: 'pypi:a@1.0' });
  });

  it('takes the vocabulary that a configuration names', () => {
    const model = load(good.replace('source: ./model', 'config: bert-tiny-zh')).model;
    expect(model.kind === 'random' ? model.vocab.text : model).to.equal('bert-base-chinese');
    file('{}', 'config.json');
    const nameless = good.replace('source: ./model', 'config: ./config.json');
    expect(complaint(() => load(nameless))[0]).to.contain('model.vocab: got nothing, expected the folder that holds');
  });

  it('lets --model replace random weights', () => {
    const random = good.replace('source: ./model', 'config: ./config.json\n  vocab: ./data');
    file('{}', 'config.json');
    expect(load(random).model).to.deep.equal({
      kind: 'random',
      config: { text: './config.json', path: join(folder, 'config.json') },
      vocab: { text: './data', path: join(folder, 'data') },
    });
    expect(load(random, { model: '/m' }).model).to.deep.equal({ kind: 'pretrained', source: '/m' });
    const missing = random.replace('./config.json', './nix.json');
    expect(complaint(() => load(missing))[0]).to.equal('model.config: got ./nix.json, nix.json does not exist');
  });

  it('reports all problems at once with file, line and column', () => {
    const text = `task: clasification
langage: zh
batch_size: 3
data:
  train: 3
  columns: { text: 0, label: label }
  labels: [a, 'b', "a"]
  dev:
model:
  source: ./model
  max_length: 2.5
training:
  epochs: "abc"
  precision: bf-16
  epoch: 3
  gradient_accumulation: 0
  seed: 1
  seed: 2
`;
    expect(complaint(() => load(text))).to.deep.equal([
      '13 problems in the task:',
      'task.yaml:1:7: task: got "clasification", expected classification, pair-classification, multi-label-classification or ner (other tasks are not supported yet) (did you mean classification?)',
      'task.yaml:2:1: langage: unknown key (did you mean language?)',
      'task.yaml:3:1: batch_size: unknown key (did you mean training.batch_size?)',
      'task.yaml:5:10: data.train: got 3, expected the path of a file',
      'task.yaml:6:12: data.columns: got a mapping, expected all names or all positions: a file has a header or it has none',
      'task.yaml:7:11: data.labels: got a list, expected labels that differ from each other',
      'task.yaml:8:3: data.dev: got null, expected the path of a file',
      'task.yaml:11:15: model.max_length: got 2.5, expected a whole number, at least 3',
      'task.yaml:13:11: training.epochs: got "abc", expected a whole number, at least 1',
      'task.yaml:14:14: training.precision: got "bf-16", expected auto, fp32 or bf16 (did you mean bf16?)',
      'task.yaml:15:3: training.epoch: unknown key (did you mean epochs?)',
      'task.yaml:16:26: training.gradient_accumulation: got 0, expected a whole number, at least 1',
      'task.yaml:18:3: training.seed: duplicate key, first given at task.yaml:17:3',
    ]);
  });

  it('reports what is missing at the mapping that lacks it', () => {
    expect(complaint(() => load('task: classification\ndata: {}\n'))).to.deep.equal([
      '3 problems in the task:',
      'task.yaml:1:1: model: missing, expected a mapping with the keys source (or config), ...',
      'task.yaml:2:1: data.train: missing, expected the path of a file',
      'task.yaml:2:1: data.columns: missing, expected a mapping with the keys text, label (and pair)',
    ]);
    expect(complaint(() => load('[1]'))).to.deep.equal([
      'task.yaml:1:1: got a list, expected a mapping with the keys task, data, model, training',
    ]);
  });

  it('reports text that is not YAML by its place', () => {
    expect(complaint(() => load('task: a\ndata: b: c\n'))[0]).to.match(/^task\.yaml:2:\d+: not YAML: /);
    expect(complaint(() => load(''))).to.deep.equal(['task.yaml:1:1: the file is empty']);
    expect(complaint(() => load('--- 1\n--- 2'))).to.deep.equal(['task.yaml:1:1: 2 documents, expected one']);
    const binary = file(Buffer.from([0xff, 0xfe, 0x41]));
    expect(complaint(() => loadTask({ task: binary, overrides: [] }))[0]).to.contain('is not UTF-8');
    expect(complaint(() => loadTask({ task: join(folder, 'nix.yaml'), overrides: [] }))[0]).to.contain(
      'does not exist',
    );
  });

  it('follows anchors and counts columns after CRLF and a byte order mark', () => {
    const text = `\ufefftask: classification\r\ndata: &d\r\n  train: t\r\n  columns: { text: 0, label: 1, pear: 2 }\r\nmodel: *d\r\n`;
    const lines = complaint(() => load(text));
    expect(lines, lines.join('\n')).to.include('task.yaml:4:33: data.columns.pear: unknown key (did you mean pair?)');
    expect(lines.filter((line) => line.startsWith('task.yaml:5:1: model.train: unknown key'))).to.have.length(1);
  });

  it('applies overrides with YAML typing, in order', () => {
    const overrides = [
      'training.epochs=2',
      'training.epochs=5',
      'training.learning_rate=1e-4',
      'training.shuffle=false',
      'data.labels=[0, 1]',
      'data.dev=a=b.tsv',
    ];
    const { config } = load(good, { overrides });
    expect(config.training.epochs).to.equal(5);
    expect(config.training.learning_rate).to.equal(1e-4);
    expect(config.training.shuffle).to.be.false;
    expect(config.data.labels).to.deep.equal(['0', '1']);
    expect(config.data.dev).to.equal('a=b.tsv');
  });

  it('takes a key out with an empty override', () => {
    const text = good.replace('columns', 'dev: dev.tsv\n  columns');
    const { config } = load(text, { overrides: ['data.dev=', 'data.dev_fraction=0.1'] });
    expect(config.data.dev).to.equal(undefined);
    expect(config.data.dev_fraction).to.equal(0.1);
  });

  it('lets an override mend what the file has wrong', () => {
    const text = `${good}training: { epochs: many }\n`;
    expect(load(text, { overrides: ['training.epochs=2'] }).config.training.epochs).to.equal(2);
  });

  it('reports bad overrides as they were typed', () => {
    const overrides = [
      'training.epochs=abc',
      'training.epoch=3',
      'foo.bar=1',
      'task.x=1',
      'nonsense',
      'training.seed=[',
      '.a=1',
    ];
    const lines = complaint(() => load(good, { overrides }));
    expect(lines.slice(1).sort()).to.deep.equal([
      '--set .a=1: got the key ".a", expected names with dots between, such as training.epochs',
      '--set foo.bar=1: foo: unknown key, expected version, task, language, data, model, training',
      '--set nonsense: expected KEY=VALUE, such as training.epochs=2',
      '--set task.x=1: task is "classification", expected a mapping',
      '--set training.epoch=3: unknown key (did you mean epochs?)',
      '--set training.epochs=abc: got "abc", expected a whole number, at least 1',
      '--set training.seed=[: the value is not YAML: unexpected end of the stream within a flow collection',
    ]);
    expect(complaint(() => load(good, { model: 'foo:bar' }))[0]).to.match(
      /^--model foo:bar: got "foo:bar", expected pypi:/,
    );
  });

  it('writes a resolved task that means the same from anywhere', () => {
    const text = good.replace('columns', 'labels: [0, 1]\n  columns');
    const task = load(text, { overrides: ['training.warmup_steps=7', 'training.learning_rate=5e-5'] });
    const again = load(taskYaml(task), { env: { T4_DATA: join(folder, 'data') }, dataDir: '/' });
    expect(again.data.train.path).to.equal(task.data.train.path);
    expect(again.model).to.deep.equal(task.model);
    expect(again.config.training).to.deep.equal(task.config.training);
    expect(again.config.data.labels).to.deep.equal(['0', '1']);
    expect(taskYaml(again)).to.equal(taskYaml(task));
  });
});
