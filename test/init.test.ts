import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import { load } from 'js-yaml';
import { z } from 'zod';
import { init } from '../src/commands/init.js';
import { taskSchema } from '../src/task/schema.js';
import { openQuestions, type Ask } from '../src/ui/questions.js';
import { createReporter } from '../src/ui/reporter.js';
import { t4 } from './support/t4.js';
import { sentences, tsv, writeTinyModel } from './support/tiny-task.js';

const labelled = sentences(40, 5);
const chinese = ['这家酒店的房间很干净', '服务态度太差了，再也不来', '早餐不错，位置方便', '电池用了一天就坏了'];

/** A row of each of many texts. */
const rows = (count: number, row: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => row(i)).join('');

const named = `label\ttext\n${rows(40, (i) => `${i % 2}\t${chinese[i % 4]!}${i}号\n`)}`;
const pairs = rows(30, (i) => `${chinese[i % 4]!}${i}\t${chinese[(i + 1) % 4]!}${i}\t${i % 2}\n`);
const words = rows(12, (i) => (i % 4 === 3 ? '\n' : `word${i} ${['B-PER', 'I-PER', 'O'][i % 4]!}\n`));

type Task = z.infer<typeof taskSchema>;

describe('t4 init', () => {
  let folder: string;
  let model: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-init-'));
    model = writeTinyModel(join(folder, 'model'));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  let made = 0;
  /** Files in a folder of their own; the first's path. */
  const write = (files: Readonly<Record<string, string>>): string => {
    const home = join(folder, String(made++));
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(home, name)), { recursive: true });
      writeFileSync(join(home, name), content);
    }
    return join(home, Object.keys(files)[0]!);
  };

  /** Runs it with the task file beside the data; what it wrote. */
  const written = async (file: string, ...flags: string[]): Promise<{ text: string; task: Task; stderr: string }> => {
    const output = join(dirname(file), 'task.yaml');
    const ran = await t4('init', file, '--output', output, ...flags);
    expect(ran.code, ran.stderr).to.equal(0);
    const text = readFileSync(output, 'utf8');
    return { text, task: taskSchema.parse(load(text)), stderr: ran.stderr };
  };

  describe('finds', () => {
    it('columns by the header, dev and test by their names, and Chinese', async () => {
      const { task, text } = await written(write({ 'train.tsv': named, 'dev.tsv': named, 'test.tsv': named }));
      expect(task.task).to.equal('classification');
      expect(task.language).to.equal('zh');
      expect(task.data).to.deep.include({
        train: './train.tsv',
        dev: './dev.tsv',
        test: './test.tsv',
        dev_fraction: 0,
      });
      expect(task.data.columns).to.deep.equal({ text: 'text', label: 'label' });
      expect(task.data.labels).to.deep.equal(['0', '1']);
      expect(task.data.format).to.equal(undefined);
      expect(task.model).to.include({ source: 'hf:google-bert/bert-base-chinese', max_length: 32 });
      expect(text).to.match(/^# yaml-language-server: \$schema=\.\/task\.schema\.json\n/);
      // Each choice has its reason.
      const keys = text.split('\n').filter((line) => /^ *\w+: ./.test(line) && !line.startsWith('version'));
      const reasons = text.split('\n').filter((line, i, all) => line.includes('#') && !all[i + 1]!.includes('#'));
      expect(reasons.length).to.be.at.least(keys.length);
    });

    it('pairs without a header by what stands in the columns', async () => {
      const { task } = await written(write({ 'dev.tsv': pairs }));
      expect(task.task).to.equal('pair-classification');
      expect(task.data.columns).to.deep.equal({ text: 0, pair: 1, label: 2 });
      expect(task.data.dev_fraction).to.equal(0.2);
    });

    it('pairs by the names of their columns', async () => {
      const body = rows(30, (i) => `${i},"the cat, it sat ${i}",the dog ran ${i},${['yes', 'no', 'maybe'][i % 3]!}\n`);
      const { task } = await written(write({ 'nli.csv': `id,premise,hypothesis,gold_label\n${body}` }));
      expect(task.data.columns).to.deep.equal({ text: 'premise', pair: 'hypothesis', label: 'gold_label' });
      expect(task.data.labels).to.deep.equal(['maybe', 'no', 'yes']);
    });

    it('keys of JSONL, and lists of labels', async () => {
      const line = (i: number, labels: unknown) =>
        `${JSON.stringify({ n: i, said: `the film was good and ${i} times so`, mood: labels })}\n`;
      const one = await written(write({ 'a.jsonl': rows(30, (i) => line(i, i % 3 === 0)) }));
      expect(one.task.data.columns).to.deep.equal({ text: 'said', label: 'mood' });
      expect(one.task.data.labels).to.deep.equal(['false', 'true']);
      const many = await written(write({ 'b.jsonl': rows(30, (i) => line(i, ['sad', 'odd'].slice(0, i % 3))) }));
      expect(many.task.task).to.equal('multi-label-classification');
      expect(many.task.data.columns).to.deep.equal({ text: 'said', label: 'mood' });
      expect(many.task.data.labels).to.deep.equal(['odd', 'sad']);
    });

    it('words with tags, whatever the file is called, and labels that only dev has', async () => {
      const dev = words.replaceAll('PER', 'ORG');
      const { task, text } = await written(write({ 'x.train': words, 'x.dev': dev, 'x.test': words }));
      expect(task.task).to.equal('ner');
      expect(task.data).to.deep.include({ format: 'conll', dev: './x.dev', test: './x.test' });
      expect(task.data.labels).to.deep.equal(['B-ORG', 'B-PER', 'I-ORG', 'I-PER', 'O']);
      expect(text).to.contain('0 / 3 / 0 / 3 / 3 words of train');
      const third = words.replaceAll(/^(\w+) (\S+)$/gm, '$1 $2 NN');
      const inMiddle = await written(write({ 'y.txt': third }));
      expect(inMiddle.task.data.columns).to.deep.equal({ text: 0, label: 1 });
    });

    it('texts with the places of their entities', async () => {
      const line = (i: number, label: string, keys = ['text', 'entities']) => {
        const [name, at] = [i % 2 === 0 ? '王安' : 'Ann', 3];
        const entities = i % 3 === 0 ? [] : [{ start: at, end: at + name.length, label }];
        return `${JSON.stringify({ n: i, [keys[0]!]: `他叫 ${name} 号${i}`, [keys[1]!]: entities })}\n`;
      };
      const file = write({
        'train.jsonl': rows(20, (i) => line(i, 'PER')),
        'dev.jsonl': rows(9, (i) => line(i, i === 1 ? 'ORG' : 'PER')),
        'test.jsonl': rows(3, (i) => `{"text": "${i}"}\n`),
      });
      const { task, text, stderr } = await written(file, '--model', model);
      expect(task.task).to.equal('ner');
      expect(task.data).to.deep.include({ format: 'jsonl', dev: './dev.jsonl' });
      expect(task.data.test).to.equal(undefined);
      expect(task.data.columns).to.deep.equal({ text: 'text', label: 'entities' });
      expect(task.data.labels).to.deep.equal(['B-ORG', 'B-PER', 'I-ORG', 'I-PER', 'O']);
      expect(text).to.contain('entities has lists of entities with their places. Not used: n.');
      expect(stderr).to.contain('test.jsonl is left out: it has no labels; t4 predict labels it');
      const ran = await t4('finetune', '--task', join(dirname(file), 'task.yaml'), '--dry-run');
      expect(ran.code, ran.stderr).to.equal(0);
      expect(ran.stdout).to.contain('dry run: all is well');

      const renamed = write({ 'a.txt': rows(20, (i) => line(i, 'PER', ['said', 'spans'])) });
      expect((await written(renamed, '--model', model)).task.data).to.deep.include({
        format: 'jsonl',
        columns: { text: 'said', label: 'spans' },
        dev_fraction: 0.2,
      });
      const again = await t4('finetune', '--task', join(dirname(renamed), 'task.yaml'), '--dry-run');
      expect(again.code, again.stderr).to.equal(0);
      // Another key may be the label that is meant.
      const other = await written(write({ 'b.jsonl': rows(40, (i) => line(i % 4, 'PER')) }), '--label-column', 'n');
      expect(other.task.task).to.equal('classification');
    });

    it('the format where the name does not say it', async () => {
      const tabs = await written(write({ 'reviews.data': named }));
      expect(tabs.task.data.format).to.equal('tsv');
      const commas = await written(write({ 'reviews.data': named.replaceAll('\t', ',') }));
      expect(commas.task.data.format).to.equal('csv');
      const wrong = await written(write({ 'reviews.csv': named }));
      expect(wrong.task.data.format).to.equal('tsv');
    });

    it('the file to train on in a folder', async () => {
      const file = write({ 'train.tsv': named, 'dev.tsv': named });
      const output = join(dirname(file), 'task.yaml');
      expect((await t4('init', dirname(file), '--output', output)).code).to.equal(0);
      expect(readFileSync(output, 'utf8')).to.contain('train: ./train.tsv');
    });
  });

  it('leaves out what lies beside and does not fit, and says why', async () => {
    const unlabelled = named.replaceAll(/^\w+\t/gm, '');
    const { task, stderr } = await written(write({ 'train.tsv': named, 'dev.tsv': pairs, 'test.tsv': unlabelled }));
    expect([task.data.dev, task.data.test]).to.deep.equal([undefined, undefined]);
    expect(task.data.dev_fraction).to.equal(0.2);
    expect(stderr).to.contain('dev.tsv is left out: it has other columns or another format');
    expect(stderr).to.contain('test.tsv is left out: it has no labels; t4 predict labels it');
    const small = await written(write({ 'dev.tsv': named, 'train.tsv': named }));
    expect(small.stderr).to.match(/train\.tsv lies beside dev\.tsv: for the whole set, t4 init \S+train\.tsv/);
  });

  it('measures by macro F1 where nearly all rows have one label', async () => {
    const { task } = await written(write({ 'a.tsv': named.replaceAll(/^1\t(?!.*1号)/gm, '0\t') }));
    expect(task.training.metric).to.equal('macro_f1');
  });

  it('obeys --model and the flags of columns', async () => {
    const file = write({
      'a.tsv': `label\ttext\tlength\n${labelled.map((one, i) => `${one.label}\t${one.text}\t${i % 2}\n`).join('')}`,
    });
    const { task } = await written(file, '--model', model, '--label-column', 'length');
    expect(task.data.columns).to.deep.equal({ text: 'text', label: 'length' });
    // The model's own tokenizer says how long the texts are, and it has 20 positions.
    expect(task.model).to.include({ source: '../model', max_length: 20 });
  });

  it('writes a task that trains as it is', async () => {
    const file = write({ 'train.tsv': tsv(labelled), 'test.tsv': tsv(sentences(16, 3)) });
    await written(file, '--model', model);
    const output = join(dirname(file), 'run');
    const ran = await t4('finetune', '--task', join(dirname(file), 'task.yaml'), '--output', output);
    expect(ran.code, ran.stderr).to.equal(0);
    expect(ran.stdout).to.contain('best dev').and.to.contain('test ');
  });

  it('writes labels and columns that YAML would take for something else', async () => {
    const odd = ['true', 'null', '1e3', '- a', '# b', "it's", '"q"', 'a: b', '\u2028x', '~'];
    const body = rows(40, (i) => `${odd[i % 10]!}\tthe text number ${i} of the file\n`);
    const { task, text } = await written(
      write({ 'a: #b.tsv': `class: #1\t@text\n${body}` }),
      '--label-column',
      'class: #1',
    );
    expect(new Set(task.data.labels)).to.deep.equal(new Set(odd));
    expect(task.data).to.deep.include({ train: './a: #b.tsv', columns: { text: '@text', label: 'class: #1' } });
    expect(text).not.to.contain('\u2028');
  });

  it('gives its choices as JSON', async () => {
    const file = write({ 'train.tsv': named });
    const output = join(dirname(file), 'mine.yml');
    const ran = await t4('init', file, '--output', output, '--json');
    const choice = <T extends z.ZodType>(value: T) => z.object({ value, why: z.string().min(1) });
    const { choices } = z
      .object({
        task: z.literal(output),
        choices: z.object({
          task: choice(z.literal('classification')),
          columns: choice(z.object({ text: z.literal('text'), label: z.literal('label') })),
          max_length: choice(z.number()),
        }),
      })
      .parse(JSON.parse(ran.stdout));
    expect(choices.max_length.value).to.equal(32);
  });

  it('never overwrites a task without --force, nor a file of another kind', async () => {
    const file = write({ 'train.tsv': named, 'task.yaml': 'mine', 'task.schema.json': '{"title": "mine"}' });
    const refused = await t4('init', file, '--output', join(dirname(file), 'task.yaml'));
    expect(refused).to.include({ code: 2, stdout: '' });
    expect(refused.stderr).to.contain('task.yaml is there already\n    Name another --output, or add --force');
    expect(readFileSync(join(dirname(file), 'task.yaml'), 'utf8')).to.equal('mine');
    const { text } = await written(file, '--force');
    expect(text).not.to.contain('yaml-language-server');
    expect(readFileSync(join(dirname(file), 'task.schema.json'), 'utf8')).to.equal('{"title": "mine"}');
    expect(readdirSync(dirname(file)).filter((name) => name.includes('partial'))).to.deep.equal([]);
  });

  it('does not load the native library', () => {
    const cli = new URL('../src/cli.js', import.meta.url).href;
    const script =
      `const { main } = await import(${JSON.stringify(cli)}); process.exitCode = await main(process.argv.slice(1));` +
      `console.error(process.report.getReport().sharedObjects.filter((name) => /tensorflow|tfjs/.test(name)).join());`;
    const file = write({ 'train.tsv': tsv(labelled) });
    const argv = ['--input-type=module', '-e', script, '--', 'init', file, '--model', model];
    const flags = ['--output', join(dirname(file), 'task.yaml')];
    const ran = spawnSync(process.execPath, [...argv, ...flags], { encoding: 'utf8' });
    expect([ran.status, ran.stderr.trim()]).to.deep.equal([0, '']);
  });

  describe('refuses', () => {
    const refused: [string, () => string[], number, string | RegExp][] = [
      ['no file, where nobody can be asked', () => [], 2, 'the file is missing'],
      ['a file that is not there', () => ['/nowhere/train.tsv'], 3, 'no such file'],
      ['an output that is no task', () => [write({ 'a.tsv': named }), '--output', 'task.json'], 2, 'ends in .yaml'],
      [
        'a file without labels, naming the one beside it that has them',
        () => [write({ 'test.tsv': pairs.replaceAll(/\t[01]$/gm, ''), 'dev.tsv': pairs })],
        3,
        /test\.tsv: got 2 columns in 30 rows and none of labels.*\n {4}dev\.tsv lies beside it: t4 init \S+dev\.tsv\n/,
      ],
      ['one label', () => [write({ 'a.tsv': named.replaceAll(/^[01]\t/gm, '1\t') })], 3, 'got only the label 1'],
      [
        'bad lines, all at once',
        () => [write({ 'a.tsv': `${named}1\n\n1\ta\tb\n` })],
        3,
        /a\.tsv:42: got 1 column.*\n.*a\.tsv:43: got an empty line.*\n.*a\.tsv:44: got 3 columns.*\n {4}Mend these lines/,
      ],
      ['a column that is not there', () => [write({ 'a.tsv': named }), '--label-column', 'lable'], 2, 'mean label?)'],
      [
        'entities that are not in their texts, with the lines',
        () => {
          const line = '{"text": "Ann ran", "entities": [{"start": 0, "end": 3, "label": "PER"}]}\n';
          return [write({ 'a.jsonl': `${line.repeat(3)}${line.replace('3,', '30,')}` })];
        },
        3,
        "a.jsonl:4: got an entity from 0 to 30, expected it within the text's 7 characters",
      ],
      [
        'a second text where there are entities',
        () => {
          const line = '{"text": "Ann ran", "entities": [{"start": 0, "end": 3, "label": "PER"}]}\n';
          return [write({ 'a.jsonl': line.repeat(3) }), '--pair-column', 'text'];
        },
        2,
        'has texts with entities, which are found in single texts',
      ],
      ['one JSON document', () => [write({ 'a.json': '[\n{"text": "a"}\n]\n' })], 3, 'expected one object a line'],
      ['other separators', () => [write({ 'a.csv': named.replaceAll('\t', ';') })], 3, 'columns with ; between'],
      [
        'a file that is not UTF-8',
        () => [write({ 'a.tsv': named.slice(0, 30) }), '--model', '/no'],
        2,
        '/no is no folder',
      ],
      [
        'a folder in which no file is the one',
        () => [dirname(write({ 'a.tsv': named, 'b.tsv': named }))],
        2,
        'got a folder with a.tsv, b.tsv, expected one file to train on',
      ],
    ];
    for (const [what, argv, code, says] of refused) {
      it(what, async () => {
        const ran = await t4(
          'init',
          ...argv(),
          ...(argv().includes('--output') ? [] : ['--output', join(folder, 'no.yaml')]),
        );
        expect(ran, ran.stderr).to.include({ code, stdout: '' });
        expect(ran.stderr).to.match(
          says instanceof RegExp ? says : new RegExp(says.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')),
        );
        expect(readdirSync(folder)).not.to.include('no.yaml');
      });
    }
  });

  describe('on a terminal', () => {
    /** Answers questions in order; undefined: the user leaves. */
    const answering = (answers: readonly (string | undefined)[]): { ask: Ask; asked: string[] } => {
      const asked: string[] = [];
      const ask: Ask = (question, preset) => {
        const answer = answers[asked.length];
        asked.push(`${question} [${preset}]`);
        return Promise.resolve(answer === '' ? preset : answer);
      };
      return { ask, asked };
    };
    const quiet = () => {
      const nowhere = new PassThrough().resume();
      return createReporter({ quiet: true }, { stdout: nowhere, stderr: nowhere, env: {}, now: () => 0 });
    };
    const options = (file: string | undefined, output: string) => ({
      ...{ file, output, model: undefined, force: false },
      ...{ textColumn: undefined, pairColumn: undefined, labelColumn: undefined },
    });

    it('asks about what it found, and takes other answers', async () => {
      const file = write({
        'a.tsv': named.replaceAll(/^(.+)$/gm, (line, _, at) => `${line}\t${at === 0 ? 'odd' : at % 3}`),
      });
      const output = join(dirname(file), 'task.yaml');
      const { ask, asked } = answering([file, '', '', 'odd', model]);
      expect(await init(options(undefined, output), quiet(), ask)).to.equal(0);
      expect(asked).to.deep.equal([
        'File with labelled data []',
        'Column of the text [text]',
        'Column of a second text [none]',
        'Column of the label [label]',
        'Model [hf:google-bert/bert-base-chinese]',
      ]);
      const task = taskSchema.parse(load(readFileSync(output, 'utf8')));
      expect(task.data.columns).to.deep.equal({ text: 'text', label: 'odd' });
      expect(task.model.source).to.equal('../model');
    });

    it('overwrites only where it is told to, and leaves nothing when the user goes', async () => {
      const file = write({ 'a.tsv': named, 'task.yaml': 'mine' });
      const output = join(dirname(file), 'task.yaml');
      const no = await init(options(file, output), quiet(), answering(['no']).ask).catch((error: unknown) => error);
      expect(no).to.be.instanceOf(Error).with.property('message').that.contains('is there already');
      expect(await init(options(file, output), quiet(), answering(['yes', '', undefined]).ask)).to.equal(130);
      expect(readFileSync(output, 'utf8')).to.equal('mine');
      expect(await init(options(file, output), quiet(), answering(['yes', '', '', '', '']).ask)).to.equal(0);
      expect(readFileSync(output, 'utf8')).to.contain('task: classification');
    });

    it('reads answers line by line, and takes the end of the input for going', async () => {
      const [input, output] = [new PassThrough(), new PassThrough()];
      const questions = openQuestions(input, output);
      input.write('  mine \n');
      expect(await questions.ask('Which', 'first')).to.equal('mine');
      const second = questions.ask('Which', 'first');
      input.write('\n');
      expect(await second).to.equal('first');
      const third = questions.ask('Which', '');
      input.end();
      expect(await third).to.equal(undefined);
      expect(await questions.ask('Once more', '')).to.equal(undefined);
      questions.close();
      expect(String(output.read())).to.contain('Which [first]: ').and.to.contain('Which: ');
    });
  });
});
