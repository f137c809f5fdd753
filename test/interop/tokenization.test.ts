import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { readExamples, type ReadOptions } from '../../src/data/read.js';
import { loadTokenizer } from '../../src/tokenization/load.js';
import type { Tokenizer } from '../../src/tokenization/tokenizer.js';

// Ids equal to those of Python Transformers, on every line of the shared data. Run from the repository's root with
// T4_PYTHON (default .venv/bin/python) and T4_SHARED (default ../shared).
const python = process.env.T4_PYTHON ?? '.venv/bin/python';
const shared = process.env.T4_SHARED ?? '../shared';

type Text = [text: string, pair: string | null];

interface Settings {
  vocab: string;
  lowercase: boolean;
  stripAccents: boolean | null;
  chineseChars: boolean;
  saveTo: string | null;
}

interface Request extends Settings {
  maxLength: number | null;
  texts: Text[];
}

const answerSchema = z.array(z.array(z.tuple([z.array(z.number()), z.number()])));

function askPython(requests: Request[]): z.infer<typeof answerSchema> {
  const { status, stdout, stderr } = spawnSync(python, ['test/interop/tokenization.py'], {
    input: JSON.stringify({ requests }),
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
  });
  expect(status, stderr).to.equal(0);
  return answerSchema.parse(JSON.parse(stdout));
}

/** Texts whose ids differ, few enough to read. */
function differences(tokenizer: Tokenizer, request: Request, answer: [number[], number][]): string[] {
  const found: string[] = [];
  request.texts.forEach(([text, pair], i) => {
    const encoding = tokenizer.encode(text, pair ?? undefined, request.maxLength ?? Number.MAX_SAFE_INTEGER);
    const got = JSON.stringify([encoding.inputIds, encoding.firstLength]);
    const expected = JSON.stringify(answer[i]);
    if (got !== expected) found.push(`${JSON.stringify([text, pair])}: got ${got}, expected ${expected}`);
  });
  return found;
}

const vocabPath = (name: string) => join(shared, 'vocab', name, 'vocab.txt');

const settings = (name: string, lowercase = true): Settings => ({
  vocab: vocabPath(name),
  lowercase,
  stripAccents: null,
  chineseChars: true,
  saveTo: null,
});

interface DataFile {
  file: string;
  rows: number;
  options: Omit<ReadOptions, 'format'>;
}

const chinese = { text: 'text_a', label: 'label' };
const sentences = { text: 'content', label: 'label' };
const phrases = { text: 'sentence', label: 'label' };
const lcqmc = { text: 0, pair: 1, label: 2 };
const labels = ['0', '1'];

// Row counts from shared/reference/tasks.md.
const dataFiles: DataFile[] = [
  { file: 'chnsenticorp/train.tsv', rows: 9600, options: { columns: chinese, labels, requireLabels: true } },
  { file: 'chnsenticorp/dev.tsv', rows: 1200, options: { columns: chinese, labels, requireLabels: true } },
  { file: 'chnsenticorp/test.tsv', rows: 1200, options: { columns: chinese, labels, requireLabels: true } },
  { file: 'lcqmc/dev.tsv', rows: 8802, options: { columns: lcqmc, labels, requireLabels: true } },
  { file: 'lcqmc/test.tsv', rows: 12500, options: { columns: lcqmc, labels, requireLabels: false } },
  { file: 'sst-2/train.tsv', rows: 67349, options: { columns: phrases, labels, requireLabels: true } },
  { file: 'sst-2/dev.tsv', rows: 872, options: { columns: phrases, labels, requireLabels: true } },
  { file: 'sst-2/test.tsv', rows: 1821, options: { columns: phrases, labels, requireLabels: false } },
  { file: 'sst-2-sentences/train.tsv', rows: 6920, options: { columns: sentences, labels, requireLabels: true } },
  { file: 'sst-2-sentences/dev.tsv', rows: 872, options: { columns: sentences, labels, requireLabels: true } },
  { file: 'sst-2-sentences/test.tsv', rows: 1821, options: { columns: sentences, labels, requireLabels: true } },
];

function textsOf({ file, options }: DataFile): Text[] {
  const { examples } = readExamples(join(shared, 'data', file), { ...options, format: 'tsv' });
  return examples.map(({ text, pair }) => [text, pair ?? null]);
}

const someTexts = (step: number): Text[] => dataFiles.flatMap((file) => textsOf(file).filter((_, i) => i % step === 0));

/** A folder with vocab.txt and the settings that are not the default. */
function vocabFolder(folder: string, { vocab, lowercase, stripAccents, chineseChars }: Settings): string {
  cpSync(vocab, join(folder, 'vocab.txt'));
  const config = { do_lower_case: lowercase, strip_accents: stripAccents, tokenize_chinese_chars: chineseChars };
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(config));
  return folder;
}

describe('tokenization compared with Python Transformers', function () {
  this.timeout(300_000);
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-tokenization-'));
  });

  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  for (const data of dataFiles) {
    it(`reads ${data.rows} rows of ${data.file} and gives the same ids with both vocabularies`, () => {
      const texts = textsOf(data);
      expect(texts).to.have.length(data.rows);
      const names = ['bert-base-chinese', 'bert-base-uncased'];
      const requests = names.map((name): Request => ({ ...settings(name), maxLength: null, texts }));
      const answers = askPython(requests);
      names.forEach((name, i) => {
        const tokenizer = loadTokenizer(join(shared, 'vocab', name));
        expect(differences(tokenizer, requests[i]!, answers[i]!)).to.deep.equal([]);
      });
    });
  }

  const variants: [string, Partial<Settings>][] = [
    ['cased', { lowercase: false }],
    ['cased with accents stripped', { lowercase: false, stripAccents: true }],
    ['lower-cased with accents kept', { stripAccents: false }],
    ['Chinese characters left together', { chineseChars: false }],
  ];
  for (const [name, variant] of variants) {
    it(`gives the same ids ${name}, from vocab.txt and from a saved tokenizer.json`, () => {
      const texts = someTexts(20);
      for (const vocab of ['bert-base-chinese', 'bert-base-uncased']) {
        const saveTo = join(folder, `${vocab}-saved`);
        const request: Request = { ...settings(vocab), ...variant, maxLength: null, texts, saveTo };
        const [answer] = askPython([request]);
        expect(differences(loadTokenizer(vocabFolder(folder, request)), request, answer!)).to.deep.equal([]);
        expect(readFileSync(join(saveTo, 'tokenizer.json'), 'utf8')).to.match(/"truncation": \{[^}]*"max_length": 8/u);
        const saved = loadTokenizer(saveTo);
        expect(saved.files.map((file) => file.slice(saveTo.length + 1))).to.include('tokenizer.json');
        expect(differences(saved, request, answer!)).to.deep.equal([]);
      }
    });
  }

  it('cuts singles and pairs at small lengths as longest_first does', () => {
    const singles = someTexts(200);
    const pairs = singles.map(([text], i): Text => [text, singles[(i * 7 + 3) % singles.length]![0]]);
    const short = textsOf(dataFiles[3]!).filter((_, i) => i % 40 === 0);
    const texts = [...singles, ...pairs, ...short, ...short.map(([a, b]): Text => [b ?? '', a])];
    const lengths = [5, 6, 7, 8, 11, 16, 17, 25, 32, 64];
    const requests = lengths.map((maxLength): Request => ({ ...settings('bert-base-chinese'), maxLength, texts }));
    const answers = askPython(requests);
    const tokenizer = loadTokenizer(join(shared, 'vocab', 'bert-base-chinese'));
    requests.forEach((request, i) => {
      expect(differences(tokenizer, request, answers[i]!)).to.deep.equal([]);
    });
  });

  it('gives the same ids for every character of the blocks that real text uses', () => {
    // Beyond these, characters newer than the tables of the Rust library differ: see src/tokenization/normalizer.ts.
    const blocks = [
      [0x0, 0x5cf], // Latin, Greek, Cyrillic, Hebrew, combining marks
      [0x900, 0x97f], // Devanagari
      [0xe00, 0xe7f], // Thai
      [0x1e00, 0x2bff], // Latin and Greek extended, punctuation, symbols, arrows
      [0x3000, 0xa4ff], // CJK, kana
      [0xac00, 0xd7ff], // Hangul
      [0xe000, 0xffff], // private use, compatibility and full-width forms
      [0x1f000, 0x1faff], // emoji
      [0x20000, 0x323af], // rare CJK
    ] as const;
    const texts = blocks.flatMap(([from, to]) =>
      Array.from({ length: to - from + 1 }, (_, i): Text => [contexts(String.fromCodePoint(from + i)), null]),
    );
    const variants = [settings('bert-base-chinese', true), settings('bert-base-uncased', false)];
    for (const variant of variants) {
      const request: Request = { ...variant, maxLength: null, texts };
      const [answer] = askPython([request]);
      const tokenizer = loadTokenizer(vocabFolder(folder, request));
      expect(differences(tokenizer, request, answer!).slice(0, 20)).to.deep.equal([]);
    }
  });

  it('has a vocabulary with U+2028 in it, where ids after it are right', () => {
    const tokenizer = loadTokenizer(join(shared, 'vocab', 'bert-base-chinese'));
    expect(tokenizer.vocabSize).to.equal(21128);
    expect(tokenizer.tokens([343, 13502, 671, 4638])).to.deep.equal(['\u2028', '##\u2028', '一', '的']);
    expect(readFileSync(vocabPath('bert-base-chinese'), 'utf8').split(/\r?\n|\u2028/u).length).to.be.above(21129);
  });
});

/** One character alone, inside a word, doubled, and at the end of one. */
const contexts = (character: string) => `${character} a${character}b ${character}${character} A${character}`;
