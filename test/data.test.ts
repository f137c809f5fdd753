import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { dump } from 'js-yaml';
import { z } from 'zod';
import { readExamples } from '../src/data/read.js';
import { UserError } from '../src/errors.js';
import { loadTokenizer } from '../src/tokenization/load.js';
import { t4 } from './support/t4.js';

const reportSchema = z.strictObject({
  task: z.string(),
  files: z.array(
    z.strictObject({
      split: z.string(),
      file: z.string(),
      examples: z.number(),
      labels: z.array(z.strictObject({ label: z.string(), count: z.number() })),
      entities: z.array(z.strictObject({ label: z.string(), count: z.number() })).optional(),
      tokens: z
        .looseObject({ p50: z.number(), p95: z.number(), max: z.number(), truncated: z.number(), unknown: z.number() })
        .optional(),
    }),
  ),
  findings: z.array(
    z.strictObject({
      severity: z.enum(['error', 'warning', 'note']),
      kind: z.string(),
      file: z.string().optional(),
      message: z.string(),
      count: z.number(),
      lines: z.array(z.strictObject({ line: z.number(), message: z.string() })),
    }),
  ),
  errors: z.number(),
  warnings: z.number(),
  notes: z.number(),
});

type Report = z.infer<typeof reportSchema>;

const good = ['good', 'great', 'fine', 'lovely'];
const bad = ['bad', 'awful', 'poor', 'dull'];
const words = ['the', 'a', 'film', 'play', 'was', 'really', 'quite', 'so', 'and', 'then', 'today', '.'];
const characters = Array.from('在这里我们去看了一部很好的电影张三李四京北');
const vocabulary = [
  '[PAD]',
  '[UNK]',
  '[CLS]',
  '[SEP]',
  '[MASK]',
  ...good,
  ...bad,
  ...words,
  ...characters,
  ...Array.from('bcdefghijklmnopqrstuvwxyz'),
];

/** A text that no other number gives. */
const text = (i: number): string =>
  [
    words[i % 12],
    words[Math.floor(i / 12) % 12],
    words[Math.floor(i / 144) % 12],
    (i % 2 === 0 ? good : bad)[i % 4],
  ].join(' ');
const label = (i: number): string => (i % 2 === 0 ? 'pos' : 'neg');
const range = (from: number, before: number): number[] => Array.from({ length: before - from }, (_, i) => from + i);
const row = (i: number): string => `${label(i)}\t${text(i)}`;
const table = (rows: readonly string[], header = 'label\ttext'): string => `${[header, ...rows].join('\n')}\n`;

/** Sentences as `word tag` lines; each differs from the others. */
const sentence = (i: number, tagged: readonly (readonly [string, string])[]): string =>
  [...[i % 12, Math.floor(i / 12) % 12].map((n) => [characters[n]!, 'O'] as const), ...tagged]
    .map(([word, tag]) => `${word} ${tag}\n`)
    .join('');
const person = [
  ['张', 'B-PER'],
  ['三', 'I-PER'],
] as const;
const place = [
  ['北', 'B-LOC'],
  ['京', 'I-LOC'],
] as const;
const sentenceOf = (i: number): string => sentence(i, i % 2 === 0 ? person : place);
const conll = (sentences: readonly string[]): string => sentences.join('\n');

type Files = Readonly<Record<string, string | Uint8Array>>;

describe('t4 data', () => {
  let root: string;
  let count = 0;
  before(() => {
    root = mkdtempSync(join(tmpdir(), 't4-data-'));
  });
  after(() => {
    rmSync(root, { recursive: true });
  });

  /** A folder with the files, a vocabulary and a task; returns the task file. */
  function write(files: Files, task: { task?: string; data?: object; model?: object } = {}): string {
    const folder = join(root, String(count++));
    mkdirSync(join(folder, 'bert'), { recursive: true });
    writeFileSync(join(folder, 'bert', 'vocab.txt'), `${vocabulary.join('\n')}\n`);
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
    const splits = Object.keys(files).map((name) => [name.split('.')[0]!, name] as const);
    const columns = task.task === 'ner' ? undefined : { text: 'text', label: 'label' };
    const content = {
      task: task.task ?? 'classification',
      data: { ...Object.fromEntries<string>(splits), columns, ...task.data },
      model: { source: './bert', max_length: 16, ...task.model },
    };
    writeFileSync(join(folder, 'task.yaml'), dump(content, { skipInvalid: true }));
    return join(folder, 'task.yaml');
  }

  async function check(file: string, ...flags: string[]): Promise<{ code: number | null; report: Report }> {
    const ran = await t4('data', 'check', '--task', file, '--json', ...flags);
    expect(ran.stderr).to.equal('');
    return { code: ran.code, report: reportSchema.parse(JSON.parse(ran.stdout)) };
  }

  /** `severity kind file:line,line`, as far as lines are named. */
  const briefly = ({ findings }: Report): string[] =>
    findings.map(({ severity, kind, file, lines }) => {
      const where = lines.length === 0 ? '' : `:${lines.map(({ line }) => line).join()}`;
      return `${severity} ${kind} ${(file ?? '').split('/').at(-1)!}${where}`;
    });

  const messageOf = ({ findings }: Report, kind: string, file = ''): string => {
    const found = findings.find((finding) => finding.kind === kind && finding.file?.endsWith(file) !== false);
    return [found?.message, ...(found?.lines.map(({ message }) => message) ?? [])].join('\n');
  };

  const clean: Files = {
    'train.tsv': table(range(0, 40).map(row)),
    'dev.tsv': table(range(100, 110).map(row)),
    'test.tsv': table(range(200, 210).map(row)),
  };

  describe('check', () => {
    it('finds nothing in clean texts', async () => {
      const { code, report } = await check(write(clean), '--strict');
      expect(report.findings).to.deep.equal([]);
      expect(code).to.equal(0);
      expect(report.files.map(({ split, examples }) => [split, examples])).to.deep.equal([
        ['train', 40],
        ['dev', 10],
        ['test', 10],
      ]);
      expect(report.files[0]!.labels).to.deep.equal([
        { label: 'neg', count: 20 },
        { label: 'pos', count: 20 },
      ]);
      expect(report.files[0]!.tokens).to.include({ p50: 6, p95: 6, max: 6, truncated: 0, unknown: 0 });
    });

    it('finds nothing in clean pairs, where one text of two may come again', async () => {
      const pair = (i: number): string => `${text(0)},${text(i)},${label(i)}`;
      const header = 'a,b,label';
      const { code, report } = await check(
        write(
          {
            'train.csv': table(range(1, 30).map(pair), header),
            'dev.csv': table([...range(40, 46).map(pair), '"the film\nwas good","a play",pos'], header),
          },
          { task: 'pair-classification', data: { columns: { text: 'a', pair: 'b', label: 'label' } } },
        ),
        '--strict',
      );
      expect(report.findings).to.deep.equal([]);
      expect(code).to.equal(0);
    });

    it('finds nothing in clean sentences', async () => {
      const { code, report } = await check(
        write(
          { 'train.txt': conll(range(0, 20).map(sentenceOf)), 'test.txt': conll(range(20, 30).map(sentenceOf)) },
          { task: 'ner' },
        ),
        '--strict',
      );
      expect(report.findings).to.deep.equal([]);
      expect(code).to.equal(0);
      expect(report.files[0]).to.include({ examples: 20 });
      expect(report.files[0]!.entities).to.deep.equal([
        { label: 'LOC', count: 10 },
        { label: 'PER', count: 10 },
      ]);
    });

    it('finds every defect of one corpus, with its line', async () => {
      const train = [
        'label\ttext',
        ...range(0, 39).map(row),
        row(6), // 41: a duplicate
        `${label(8)}\t  ${text(8).toUpperCase()} `, // 42: the same but for case and white space
        `${label(11)}\t${text(10)}`, // 43: the text of line 12 with another label
        'pos\tthe film was good\textra', // 44: a column too many
        '', // 45: an empty line
        'pos\t ', // 46: no text
        '\tthe play was good', // 47: no label
        `pos\t${'the film and '.repeat(6)}`, // 48: too long
        'pos\tthe 罕 film 罕 was 僻', // 49: unknown characters
        'neg\tthe pl\uFFFDy was dull', // 50: lost in a conversion
        'neg\tthe\u0085play was awful', // 51: a control character
        'pos\tthe cafe\u0301 was fine', // 52: an accent apart
        'pos\tthe caf\u00E9 was lovely', // 53: and one in place
        'rare\tthe play was so so', // 54: a label of its own
      ];
      const dev = [
        'label\ttext',
        ...range(100, 110).map(row),
        row(4),
        `${label(14)}\t${text(14)} .`.replace(' .', '  '),
      ];
      const test = ['label\ttext', ...range(200, 208).map(row), 'meh\tthe play was quite so', row(101), row(2)];
      const bytes = Buffer.concat([
        Buffer.from(`\uFEFF${train.join('\n')}\n`),
        Buffer.from([0x70, 0x6f, 0x73, 0x09, 0xc4, 0xe3, 0x0a]), // 55: GB18030
      ]);
      const { code, report } = await check(
        write({ 'train.tsv': bytes, 'dev.tsv': dev.join('\r\n'), 'test.tsv': `${test.join('\n')}\n` }),
      );
      expect(code).to.equal(3);
      expect(briefly(report).sort()).to.deep.equal(
        [
          'error not-utf8 train.tsv:55',
          'error bad-line train.tsv:44,45',
          'error empty-text train.tsv:46',
          'error missing-label train.tsv:47',
          'error unknown-label test.tsv:10',
          'warning byte-order-mark train.tsv:1',
          'warning carriage-return dev.tsv:1,2,3,4,5,6,7,8,9,10,11,12',
          'warning duplicate train.tsv:41,43',
          'warning near-duplicate train.tsv:42',
          'warning conflicting-labels train.tsv:43',
          'warning leak dev.tsv:12',
          'warning near-leak dev.tsv:13',
          'warning leak test.tsv:12',
          'warning leak test.tsv:11',
          'warning rare-label train.tsv:54',
          'warning label-without-example dev.tsv',
          'warning label-without-example test.tsv',
          'warning truncated train.tsv:48',
          'warning unknown-token train.tsv:49,50,51,52,53',
          'warning replacement-character train.tsv:50',
          'warning control-character train.tsv:51',
          'warning mixed-normal-forms train.tsv:52',
        ].sort(),
      );
    });

    it('says of each line what is wrong with it, and where the other is', async () => {
      const file = write({
        'train.tsv': table([
          ...range(0, 6).map(row),
          row(2), // 8
          `neg\t${text(4)}`, // 9
          'pos\tthe 罕 film 罕 was 僻', // 10
          'pos\tthe cafe\u0301 was fine', // 11
          'neg\tthe caf\u00E9\u200B\u0007 was poor', // 12
          `neg\t${'the film and '.repeat(6)}`, // 13
        ]),
        'dev.tsv': table([row(0), row(1), row(2).replace('good', 'GOOD').replace('fine', 'FINE')]),
      });
      const { report } = await check(file);
      const folder = file.replace(/task.yaml$/, '');
      const messages = (kind: string, name: string): string => messageOf(report, kind, name).replaceAll(folder, '');
      expect(messages('duplicate', 'train.tsv')).to.equal(
        '2 rows repeat a text that stands before\nas line 4\nas line 6',
      );
      expect(messages('conflicting-labels', 'train.tsv')).to.equal(
        '1 row has another label than the same text elsewhere\nlabel neg, but pos in line 6',
      );
      expect(messages('leak', 'dev.tsv')).to.equal(
        '2 texts (2 rows) also in train.tsv\nas train.tsv:2\nas train.tsv:3',
      );
      expect(messages('near-leak', 'dev.tsv')).to.match(/^1 row also in train.tsv, but for case.*\nas train.tsv:4$/);
      expect(messages('mixed-normal-forms', 'train.tsv')).to.match(
        /^1 text is not in .* as others are \(train.tsv:12\).*\nU\+0065 U\+0301 for U\+00E9 in "the cafe\u0301 was fin"$/,
      );
      expect(messages('control-character', 'train.tsv')).to.contain(
        'U+0007 in "the caf\u00E9<U+200B><U+0007> was poor"',
      );
      expect(messages('truncated', 'train.tsv')).to.equal(
        '1 text is cut to 16 tokens (model.max_length), 8.33 % of all\n20 tokens, 4 too many',
      );
      expect(messages('unknown-token', 'train.tsv').split('\n').slice(0, 2)).to.deep.equal([
        '3 texts have tokens that the vocabulary lacks, 7.81 % of all tokens; most often 罕 (2), 僻 (1), ' +
          'cafe\u0301 (1), caf\u00E9<U+200B><U+0007> (1)',
        '3 of 8: 罕 僻',
      ]);
    });

    it('finds broken tags, cut entities and the rest in sentences', async () => {
      const long = [...Array.from('这里我们去看了一部很好的电影')].map((word) => [word, 'O'] as const);
      const train = conll([
        ...range(0, 8).map(sentenceOf), // 5 lines each with the empty one: 1 to 40
        sentence(20, [['张', 'I-PER']]), // 41, the tag in 43
        sentence(21, [
          ['北', 'B-LOC'],
          ['三', 'I-PER'],
        ]), // 45, the tag in 48
        sentence(22, [...long, ...person]), // 50: tokens 17 and 18 of 18 in line 66
        sentenceOf(2), // 69: a duplicate of line 11
        sentence(4, [
          ['张', 'B-PER'],
          ['三', 'O'],
        ]), // 74: the words of line 21, other tags
        sentence(23, [
          ['\u0001', 'O'],
          ['罕', 'O'],
        ]), // 79: the control character in 81
      ]);
      const { code, report } = await check(
        write({ 'train.txt': train, 'dev.txt': conll([sentenceOf(30), sentenceOf(1)]) }, { task: 'ner' }),
      );
      expect(briefly(report)).to.deep.equal([
        'warning broken-tags train.txt:43,48',
        'warning control-character train.txt:81',
        'warning duplicate train.txt:69,74',
        'warning conflicting-labels train.txt:74',
        'warning unknown-token train.txt:79',
        'warning leak dev.txt:6',
        'note entity-beyond train.txt:66',
        'note windowed train.txt:50',
      ]);
      expect(code).to.equal(0);
      expect(messageOf(report, 'broken-tags')).to.equal(
        '2 tags break the rules of their scheme\nI-PER after O, expected B-PER\nI-PER after B-LOC, expected B-PER',
      );
      expect(messageOf(report, 'entity-beyond')).to.contain('PER, tokens 17 to 18 of 18');
    });

    it('warns of an entity that no window has whole', async () => {
      const name = range(0, 12).map((i) => [characters[i]!, i === 0 ? 'B-ORG' : 'I-ORG'] as const);
      const { report } = await check(
        write(
          { 'train.txt': conll([...range(0, 8).map(sentenceOf), sentence(30, name)]) },
          {
            task: 'ner',
            model: { max_length: 12 },
          },
        ),
      );
      expect(briefly(report)).to.include('warning cut-entity train.txt:43');
      expect(messageOf(report, 'cut-entity')).to.contain('ORG, tokens 3 to 14 of 14');
    });

    it('names every line of sentences that cannot be read, and goes on with the other files', async () => {
      const { code, report } = await check(
        write(
          { 'train.txt': '在 O\n张\n', 'dev.txt': conll([sentenceOf(1), sentenceOf(2), sentenceOf(1)]) },
          { task: 'ner', data: { labels: ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC'] } },
        ),
      );
      expect(code).to.equal(3);
      expect(briefly(report)).to.deep.equal(['error bad-line train.txt:2', 'warning duplicate dev.txt:11']);
    });

    it('looks at the other sentences of a file with bad ones, and at a test file without labels', async () => {
      const train = conll([
        sentenceOf(1),
        '在 O\n张\n',
        sentenceOf(2),
        sentenceOf(1),
        '叫 O\n王 PER-B\n',
        sentenceOf(2),
      ]);
      const { code, report } = await check(
        write({ 'train.txt': train, 'test.txt': '在\n北\n\n在\n北\n' }, { task: 'ner' }),
      );
      expect(code).to.equal(3);
      const lines = train.split('\n');
      const at = (text: string): number => lines.indexOf(text) + 1;
      const starts = lines.flatMap((_, i) => (i === 0 || lines[i - 1] === '' ? [i + 1] : []));
      expect(briefly(report)).to.deep.equal([
        `error bad-line train.txt:${at('张')},${at('王 PER-B')}`,
        `warning duplicate train.txt:${starts[3]!},${starts[5]!}`,
        'warning duplicate test.txt:4',
        'note no-labels test.txt',
      ]);
    });

    const unreadable: Readonly<Record<string, { files: Files; columns?: object; found: string[] }>> = {
      'a file that is missing': {
        files: { 'dev.tsv': clean['dev.tsv']! },
        found: ['error unreadable-file train.tsv'],
      },
      'an empty file': { files: { 'train.tsv': '' }, found: ['error unreadable-file train.tsv'] },
      'a header without the column': {
        files: { 'train.tsv': table(range(0, 4).map(row), 'label\ttxt') },
        found: ['error bad-line train.tsv:1'],
      },
      'JSON that is none': {
        files: { 'train.jsonl': '{"text": "the film", "label": "pos"}\n{"text"\n{"text": "a play", "label": "neg"}\n' },
        found: ['error bad-line train.jsonl:2'],
      },
      'a quote that is not closed': {
        files: { 'train.csv': 'text,label\nthe film,pos\na play,neg\n"so,pos\n' },
        found: ['error bad-line train.csv:4'],
      },
      'a CSV file that is not UTF-8': {
        files: { 'train.csv': Buffer.from('text,label\na film,pos\nthe film \xe9,neg\n', 'latin1') },
        found: ['error not-utf8 train.csv:3'],
      },
      'one label only': {
        files: { 'train.tsv': table([0, 2, 4].map(row)) },
        found: ['error one-label train.tsv', 'error unknown-label dev.tsv:3'],
      },
    };
    for (const [name, { files, found }] of Object.entries(unreadable)) {
      it(`reports ${name} as an error, and checks the other files`, async () => {
        const data = { train: Object.keys(files).find((file) => file.startsWith('train')) ?? 'train.tsv' };
        const dev = { 'dev.tsv': table([row(100), row(101), row(100)]) };
        const format = /\.(\w+)$/.exec(data.train)![1];
        // Files of one task have one format.
        const withDev = format === 'tsv' ? { ...files, ...dev } : files;
        const { code, report } = await check(write(withDev, { data }));
        expect(code).to.equal(3);
        expect(briefly(report).filter((line) => line.startsWith('error'))).to.deep.equal(found);
        if (format === 'tsv') expect(briefly(report)).to.include('warning duplicate dev.tsv:4');
      });
    }

    it('refuses the same lines as the reader that training uses', async () => {
      const lines = [
        ...range(0, 5).map(row),
        'pos',
        'pos\t',
        '',
        '\tfilm',
        'x\tfilm',
        'pos\ta\tb',
        ' \t ',
        'neg\tplay',
      ];
      const file = write({ 'train.tsv': table(lines) }, { data: { labels: ['neg', 'pos'] } });
      const { report } = await check(file);
      const found = report.findings.filter(({ severity }) => severity === 'error').flatMap((finding) => finding.lines);
      expect([...new Set(found.map(({ line }) => line))].sort((a, b) => a - b)).to.deep.equal(linesRefused(file));
    });

    /** The lines that readExamples names. */
    function linesRefused(task: string): number[] {
      const path = task.replace('task.yaml', 'train.tsv');
      const columns = { text: 'text', label: 'label' };
      try {
        readExamples(path, { format: 'tsv', columns, labels: ['neg', 'pos'], requireLabels: true });
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        return [...new Set([...error.message.matchAll(/^[^\n]*?:(\d+): /gm)].map(([, line]) => Number(line)))];
      }
      throw new Error('nothing is refused');
    }

    const sets = { task: 'multi-label-classification' };

    it('checks rows with any number of labels', async () => {
      const labelled = (labels: string, i: number): string => `${labels}\t${text(i)}`;
      const file = write(
        {
          'train.tsv': table([
            ...range(0, 6).map((i) => labelled('old,new', i)),
            ...range(6, 12).map((i) => labelled('', i)),
            labelled('new, old', 0), // 14: the same labels in another order
            labelled('new', 1), // 15: other labels
            labelled('new,,old', 20), // 16
            labelled('new,new', 21), // 17
          ]),
          'dev.tsv': table([labelled('', 30), labelled('old,newer', 31), labelled('new', 2)]),
        },
        sets,
      );
      const { code, report } = await check(file);
      expect(code).to.equal(3);
      expect(briefly(report)).to.deep.equal([
        'error bad-label train.tsv:16,17',
        'error unknown-label dev.tsv:3',
        'warning duplicate train.tsv:14,15',
        'warning conflicting-labels train.tsv:15',
        'warning leak dev.tsv:4',
        'warning conflicting-labels dev.tsv:4',
      ]);
      expect(messageOf(report, 'conflicting-labels', 'train.tsv')).to.contain('label new, but new, old in line 3');
      expect(messageOf(report, 'unknown-label')).to.contain('got label "newer", expected some of new, old');
    });

    it('checks lists of labels in JSONL', async () => {
      const line = (i: number, labels: unknown): string => `${JSON.stringify({ text: text(i), label: labels })}\n`;
      const train = [...range(0, 6).map((i) => line(i, ['a'])), ...range(6, 12).map((i) => line(i, ['a', 'b']))];
      const first = await check(write({ 'train.jsonl': [...train, line(12, [])].join('') }, sets), '--strict');
      expect([first.code, briefly(first.report)]).to.deep.equal([0, []]);
      const second = await check(write({ 'train.jsonl': [...train, line(12, 'a'), line(13, null)].join('') }, sets));
      expect(briefly(second.report)).to.deep.equal([
        'error bad-line train.jsonl:13',
        'error missing-label train.jsonl:14',
      ]);
    });

    it('says that a share held out of train has repeated texts on both sides', async () => {
      const rows = [...range(0, 20).map(row), row(3)];
      const { report } = await check(write({ 'train.tsv': table(rows) }, { data: { dev_fraction: 0.2 } }));
      expect(briefly(report)).to.deep.equal(['warning duplicate train.tsv:22', 'warning leak train.tsv:22']);
    });

    it('takes a test file without labels as it is, and one with some labels for a mistake', async () => {
      const unlabelled = table(range(200, 205).map(text), 'text');
      const first = await check(write({ ...clean, 'test.tsv': unlabelled }), '--strict');
      expect([first.code, briefly(first.report)]).to.deep.equal([0, ['note no-labels test.tsv']]);
      const second = await check(write({ ...clean, 'test.tsv': table([row(200), row(201), `\t${text(202)}`]) }));
      expect([second.code, briefly(second.report)]).to.deep.equal([3, ['error missing-label test.tsv:4']]);
    });

    it('has exit code 3 for errors, and with --strict for warnings', async () => {
      const file = write({ ...clean, 'dev.tsv': table([row(100), row(101), row(100)]) });
      const [lenient, strict] = [
        await t4('data', 'check', '--task', file),
        await t4('data', 'check', '--task', file, '--strict'),
      ];
      expect([lenient.code, strict.code]).to.deep.equal([0, 3]);
      expect(lenient.stdout).to.equal(strict.stdout);
      const path = file.replace('task.yaml', 'dev.tsv');
      expect(lenient.stdout).to.contain(
        `warning (duplicate): ${path}: 1 row repeats a text that stands before\n  ${path}:4: as line 2\n`,
      );
      expect(lenient.stdout).to.match(/\n\n0 errors, 1 warning, 0 notes\n$/);
      expect(lenient.stderr).to.equal('');
    });

    it('shows the first lines of many, and how many there are', async () => {
      const rows = [
        ...range(0, 4),
        ...range(0, 4),
        ...range(0, 4),
        ...range(0, 4),
        ...range(0, 4),
        ...range(0, 4),
        ...range(0, 4),
      ];
      const file = write({ 'train.tsv': table(rows.map(row)) });
      const { stdout } = await t4('data', 'check', '--task', file);
      expect(stdout.match(/train\.tsv:\d+: as line/g)).to.have.length(5);
      expect(stdout).to.contain('\n  ... and 19 more\n');
      const { report } = await check(file);
      expect(report.findings[0]).to.have.property('count', 24);
      expect(report.findings[0]!.lines).to.have.length(20);
    });

    it('leaves the tokens out where the model is not on this machine, and says why', async () => {
      const { code, report } = await check(write(clean, { model: { source: 'hf:nobody/nothing' } }), '--strict');
      expect(code).to.equal(0);
      expect(briefly(report)).to.deep.equal(['note tokens-not-checked ']);
      expect(messageOf(report, 'tokens-not-checked')).to.match(
        /not checked: hf:nobody\/nothing is not in .*, and nothing is/,
      );
      expect(report.files[0]).not.to.have.property('tokens');
    });

    it('does not load the native library', () => {
      const cli = new URL('../src/cli.js', import.meta.url).href;
      const script =
        `const { main } = await import(${JSON.stringify(cli)}); process.exitCode = await main(process.argv.slice(1));` +
        `console.error(process.report.getReport().sharedObjects.filter((name) => /tensorflow|\\.node$/.test(name)).join());`;
      for (const command of ['check', 'show']) {
        const argv = ['--input-type=module', '-e', script, '--', 'data', command, '--task', write(clean)];
        const ran = spawnSync(process.execPath, argv, { encoding: 'utf8' });
        expect([ran.status, ran.stderr.trim()]).to.deep.equal([0, '']);
      }
    });

    it('refuses what it cannot do', async () => {
      const refused: [string[], number, string][] = [
        [['data'], 2, 't4 data what? expected check or show'],
        [['data', 'chek'], 2, 'unknown command data chek, expected check or show (did you mean check?)'],
        [['data', 'check'], 2, '--task is missing'],
        [['data', 'check', '--task', 'demo', '-n', '3'], 2, 'unknown flag -n'],
        [['data', 'show', '--task', 'demo', '-n', '0'], 2, '-n: got 0, expected a whole number, at least 1'],
        [['data', 'show', '--task', 'demo', '--split', 'tset'], 2, '--split: got "tset"'],
        [
          ['data', 'show', '--task', write({ 'train.tsv': clean['train.tsv']! }), '--split', 'dev'],
          2,
          'the task has no dev file',
        ],
        [
          ['data', 'show', '--task', write(clean, { model: { source: 'hf:nobody/nothing' } })],
          4,
          'there is no tokenizer',
        ],
        [['data', 'show', '--task', write({ ...clean, 'train.tsv': 'label\ttext\npos\n' })], 3, ''],
      ];
      for (const [argv, code, message] of refused) {
        const ran = await t4(...argv);
        expect(ran, argv.join(' ')).to.include({ code, stdout: '' });
        expect(ran.stderr.startsWith(`t4: ${message}`), ran.stderr).to.be.true;
      }
    });
  });

  const shownLabel = z.strictObject({ name: z.string(), id: z.number() });
  const shownSchema = z.strictObject({
    task: z.string(),
    split: z.string(),
    file: z.string(),
    max_length: z.number(),
    examples: z.array(
      z.strictObject({
        line: z.number(),
        text: z.string(),
        pair: z.string().optional(),
        label: shownLabel.nullish(),
        labels: z.array(shownLabel).nullish(),
        inputs: z.array(
          z.strictObject({
            tokens: z.array(z.string()),
            ids: z.array(z.number()),
            segments: z.array(z.number()),
            labels: z.array(z.string().nullable()).optional(),
          }),
        ),
        cut: z.strictObject({ text: z.array(z.string()), pair: z.array(z.string()) }),
      }),
    ),
  });

  async function show(file: string, ...flags: string[]): Promise<z.infer<typeof shownSchema>> {
    const ran = await t4('data', 'show', '--task', file, '--json', '--quiet', ...flags);
    expect(ran, ran.stderr).to.include({ code: 0, stderr: '' });
    return shownSchema.parse(JSON.parse(ran.stdout));
  }

  describe('show', () => {
    it('gives the ids that training gets, with their tokens and the label', async () => {
      const file = write(clean);
      const shown = await show(file, '-n', '2', '--split', 'dev');
      expect(shown).to.include({ split: 'dev', max_length: 16, file: file.replace('task.yaml', 'dev.tsv') });
      expect(shown.examples).to.have.length(2);
      const tokenizer = loadTokenizer(file.replace('task.yaml', 'bert'));
      const { inputIds } = tokenizer.encode(text(100), undefined, 16);
      expect(shown.examples[0]).to.deep.equal({
        line: 2,
        text: text(100),
        label: { name: 'pos', id: 1 },
        inputs: [
          { tokens: ['[CLS]', ...text(100).split(' '), '[SEP]'], ids: inputIds, segments: inputIds.map(() => 0) },
        ],
        cut: { text: [], pair: [] },
      });
      expect((await show(file)).examples).to.have.length(5);
    });

    it('says which tokens of which text are cut', async () => {
      const [single, pairs] = [
        write({ 'train.tsv': table(['pos\tthe film was really good today', row(1)]) }, { model: { max_length: 6 } }),
        write(
          { 'train.tsv': table(['pos\tthe film\ta play was so bad', 'neg\ta\tb'], 'label\ttext\tpair') },
          {
            task: 'pair-classification',
            data: { columns: { text: 'text', pair: 'pair', label: 'label' } },
            model: { max_length: 8 },
          },
        ),
      ];
      expect((await show(single)).examples[0]).to.deep.include({ cut: { text: ['good', 'today'], pair: [] } });
      const [pair] = (await show(pairs)).examples;
      expect(pair!.cut).to.deep.equal({ text: [], pair: ['so', 'bad'] });
      expect(pair!.inputs[0]).to.deep.include({
        tokens: ['[CLS]', 'the', 'film', '[SEP]', 'a', 'play', 'was', '[SEP]'],
        segments: [0, 0, 0, 0, 1, 1, 1, 1],
      });
    });

    it('aligns tokens, ids, segments and labels, Chinese characters being two columns wide', async () => {
      const file = write({ 'train.txt': conll([sentence(0, person), sentence(1, place)]) }, { task: 'ner' });
      const { stdout } = await t4('data', 'show', '--task', file, '-n', '1');
      const id = (token: string): string => String(vocabulary.indexOf(token)).padEnd(5);
      expect(stdout).to.equal(
        `${file.replace('task.yaml', 'train.txt')}:1\n` +
          '  6 tokens\n' +
          '  token    [CLS]  在  在  张     三     [SEP]\n' +
          `  id       2      ${vocabulary.indexOf('在')}  ${vocabulary.indexOf('在')}  ${id('张')}  ${id('三')}  3\n` +
          '  segment  0      0   0   0      0      0\n' +
          '  label           O   O   B-PER  I-PER\n',
      );
    });

    it('shows the windows of a long sentence', async () => {
      const long = Array.from('这里我们去看了一部').map((word) => [word, 'O'] as const);
      const file = write(
        { 'train.txt': conll([sentence(0, [...long, ...person])]) },
        { task: 'ner', model: { max_length: 10 } },
      );
      const [first] = (await show(file)).examples;
      expect(first!.inputs.map(({ tokens }) => tokens.slice(1, -1).join(''))).to.deep.equal([
        '在在这里我们去看',
        '去看了一部张三',
      ]);
      expect(first!.inputs[1]!.labels).to.deep.equal([null, 'O', 'O', 'O', 'O', 'O', 'B-PER', 'I-PER', null]);
    });

    it('shows all labels of a text that may have several', async () => {
      const rows = table([`old,new\t${text(0)}`, `\t${text(1)}`, `new\t${text(2)}`]);
      const file = write({ 'train.tsv': rows }, { task: 'multi-label-classification' });
      expect((await show(file)).examples.map(({ labels }) => labels)).to.deep.equal([
        [
          { name: 'new', id: 0 },
          { name: 'old', id: 1 },
        ],
        [],
        [{ name: 'new', id: 0 }],
      ]);
      const { stdout } = await t4('data', 'show', '--task', file);
      expect(stdout)
        .to.contain('train.tsv:2  new (id 0), old (id 1)\n')
        .and.to.contain('train.tsv:3  none of the labels\n');
    });

    it('breaks the table where the terminal ends', async () => {
      const file = write(
        { 'train.tsv': table(range(0, 12).map((i) => `${label(i)}\t${`${text(i)} `.repeat(8)}`)) },
        { model: { max_length: 64 } },
      );
      const { stdout } = await t4('data', 'show', '--task', file, '-n', '1');
      const lines = stdout.split('\n').slice(1);
      expect(Math.max(...lines.map((line) => line.length))).to.be.within(80, 100);
      expect(lines.filter((line) => line.startsWith('  token'))).to.have.length.above(1);
    });
  });
});
