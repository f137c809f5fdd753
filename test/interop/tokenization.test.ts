import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { readExamples, type ReadOptions } from '../../src/data/read.js';
import { createRandom } from '../../src/data/random.js';
import { findFairseqFiles, writeFairseqVocabulary } from '../../src/tokenization/fairseq.js';
import { loadTokenizer } from '../../src/tokenization/load.js';
import type { Tokenizer } from '../../src/tokenization/tokenizer.js';

// Ids equal to those of Python Transformers, on every line of the shared data and on made ones. Run from the repository's root with
// T4_PYTHON (default .venv/bin/python) and T4_SHARED (default ../shared).
const python = process.env.T4_PYTHON ?? '.venv/bin/python';
const shared = process.env.T4_SHARED ?? '../shared';

type Text = [text: string, pair: string | null];

interface Settings {
  family: 'bert' | 'roberta' | 'albert';
  /** vocab.txt, vocab.json or spiece.model. */
  vocab: string;
  lowercase: boolean;
  stripAccents: boolean | null;
  chineseChars: boolean;
  addPrefixSpace: boolean;
  keepAccents: boolean;
  saveTo: string | null;
  /** Texts to train a spiece.model on, which is then written to `vocab`. */
  trainOn: string[] | null;
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

/** Loads the three shared vocabularies and compares each with Python. */
function expectSameIds(texts: Text[]): void {
  const all = [settings('bert-base-chinese'), settings('bert-base-uncased'), roberta];
  const requests = all.map((one): Request => ({ ...one, maxLength: null, texts }));
  const answers = askPython(requests);
  requests.forEach((request, i) => {
    const found = differences(loadTokenizer(dirname(request.vocab)), request, answers[i]!);
    expect(found.slice(0, 20), `${found.length} of ${texts.length} with ${request.vocab}`).to.deep.equal([]);
  });
}

const vocabPath = (name: string) => join(shared, 'vocab', name, 'vocab.txt');

const defaults = {
  lowercase: true,
  stripAccents: null,
  chineseChars: true,
  addPrefixSpace: false,
  keepAccents: false,
  saveTo: null,
  trainOn: null,
};

const settings = (name: string, lowercase = true): Settings => ({
  ...defaults,
  family: 'bert',
  vocab: vocabPath(name),
  lowercase,
});

const robertaFolder = join(shared, 'vocab', 'roberta-bpe');
const roberta: Settings = { ...defaults, family: 'roberta', vocab: join(robertaFolder, 'vocab.json') };

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
  this.timeout(1_200_000);
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-tokenization-'));
  });

  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  for (const data of dataFiles) {
    it(`reads ${data.rows} rows of ${data.file} and gives the same ids with each vocabulary`, () => {
      const texts = textsOf(data);
      expect(texts).to.have.length(data.rows);
      expectSameIds(texts);
    });
  }

  it('gives the same ids for every line of every file of the shared data, with each vocabulary', () => {
    const files = readdirSync(join(shared, 'data'), { recursive: true, encoding: 'utf8' })
      .map((name) => join(shared, 'data', name))
      .filter((path) => statSync(path).isFile());
    expect(files).to.have.length.above(12);
    // What a line gives depends on the line alone, and the files with a character a line repeat themselves.
    const lines = new Set(files.flatMap((path) => readFileSync(path, 'utf8').split('\n')));
    expectSameIds(Array.from(lines, (line): Text => [line, null]));
  });

  it('gives the same ids for 10,000 made lines of what is hard to split, with each vocabulary', () => {
    expectSameIds(madeLines(10_000).map((line): Text => [line, null]));
  });

  it('gives the same ids from dict.txt, encoder.json and vocab.bpe as from vocab.json and merges.txt', () => {
    for (const name of ['dict.txt', 'encoder.json']) cpSync(join(robertaFolder, name), join(folder, name));
    cpSync(join(robertaFolder, 'merges.txt'), join(folder, 'vocab.bpe'));
    const texts = [...someTexts(50), ...madeLines(1000).map((line): Text => [line, null])];
    const request: Request = { ...roberta, maxLength: null, texts };
    const [answer] = askPython([request]);
    expect(differences(loadTokenizer(folder), request, answer!)).to.deep.equal([]);
    writeFairseqVocabulary(findFairseqFiles(folder)!, folder);
    const idsOf = (path: string) => z.record(z.string(), z.number()).parse(JSON.parse(readFileSync(path, 'utf8')));
    expect(idsOf(join(folder, 'vocab.json'))).to.deep.equal(idsOf(roberta.vocab));
    expect(readFileSync(join(folder, 'merges.txt'))).to.deep.equal(readFileSync(join(robertaFolder, 'merges.txt')));
  });

  it('cuts pairs of byte-level BPE as longest_first does, with a space put before the text or not', () => {
    const singles = [...someTexts(400).map(([text]) => text), ...madeLines(300)];
    const texts = singles.map((text, i): Text => [text, singles[(i * 7 + 3) % singles.length]!]);
    for (const addPrefixSpace of [false, true]) {
      for (const maxLength of [7, 12, 33]) {
        const request: Request = { ...roberta, addPrefixSpace, maxLength, texts };
        const [answer] = askPython([request]);
        for (const name of ['vocab.json', 'merges.txt']) cpSync(join(robertaFolder, name), join(folder, name));
        writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify({ add_prefix_space: addPrefixSpace }));
        expect(differences(loadTokenizer(folder), request, answer!)).to.deep.equal([]);
      }
    }
  });

  it('gives the same ids from a spiece.model and from the tokenizer.json that Transformers saves of it', () => {
    const english = dataFiles.filter(({ file }) => file.startsWith('sst-2-sentences')).flatMap(textsOf);
    const trainOn = [
      ...english.map(([text]) => text.toLowerCase()),
      ...madeLines(200).map((line) => line.replaceAll('\0', '')),
    ];
    const vocab = join(folder, 'spiece.model');
    const texts = [...someTexts(10), ...madeLines(10_000).map((line): Text => [line, null])];
    const variants: [Partial<Settings>, object][] = [
      [{ trainOn }, {}],
      [{ lowercase: false }, { do_lower_case: false }],
      [{ keepAccents: true }, { keep_accents: true }],
    ];
    variants.forEach(([variant, config], i) => {
      const saveTo = join(folder, `saved-${i}`);
      const request: Request = { ...defaults, family: 'albert', vocab, ...variant, saveTo, maxLength: null, texts };
      const [answer] = askPython([request]);
      writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(config));
      const tokenizer = loadTokenizer(folder);
      expect(tokenizer.vocabSize).to.equal(3000);
      expect(differences(tokenizer, request, answer!).slice(0, 20)).to.deep.equal([]);
      expect(readdirSync(saveTo)).to.include('tokenizer.json');
      expect(differences(loadTokenizer(saveTo), request, answer!).slice(0, 20)).to.deep.equal([]);
    });
  });

  it('gives the same ids from the tokenizer.json that Transformers saves of a RoBERTa', () => {
    const texts = [...someTexts(50), ...madeLines(3000).map((line): Text => [line, null])];
    const request: Request = { ...roberta, saveTo: folder, maxLength: null, texts };
    const [answer] = askPython([request]);
    expect(readdirSync(folder)).to.include('tokenizer.json');
    expect(differences(loadTokenizer(folder), request, answer!)).to.deep.equal([]);
  });

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
    const variants = [settings('bert-base-chinese', true), settings('bert-base-uncased', false), roberta];
    for (const variant of variants) {
      const request: Request = { ...variant, maxLength: null, texts };
      const [answer] = askPython([request]);
      const tokenizer = loadTokenizer(variant.family === 'roberta' ? robertaFolder : vocabFolder(folder, request));
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

const hardParts = {
  emoji: ['😀', '👨\u200d👩\u200d👧', '🇨🇳', '☺\ufe0f', '👍🏽', '❤\ufe0f', '🏴\u{e0067}\u{e0062}\u{e007f}'],
  marks: [
    'e\u0301',
    'n\u0303',
    '\u0301',
    'o\u0308\u0301',
    'か\u3099',
    '\u1112\u1161\u11ab',
    'क्षि',
    '\u0e33',
    'A\u030a',
  ],
  noWidth: ['\u200b', '\u200c', '\u200d', '\ufeff', '\u2060', '\u00ad', '\u180e', '\u034f'],
  chinese: ['酒店', '很好，', '电影。', '𠀀', '𪜀', '﨎', '々'],
  controls: [
    '\0',
    '\x01',
    '\x0b',
    '\x0c',
    '\x1a',
    '\x1c',
    '\x1d',
    '\x1e',
    '\x1f',
    '\x7f',
    '\x85',
    '\ufffd',
    '\u2028',
    '\u2029',
  ],
  blanks: [
    ' ',
    '  ',
    '   ',
    '\t',
    ' \t ',
    '\n\n',
    ' \n',
    '\r\n',
    '\u00a0',
    '\u3000',
    '\u2003',
    '\u202f',
    '\u205f',
    '\u1680',
    '\u2007 ',
  ],
  contractions: [
    "don't",
    "DON'T",
    "I'LL",
    "i'll",
    "we've",
    "WE'VE",
    "he's",
    "HE'S",
    "'s",
    "'S",
    "'re",
    "'RE",
    "'d",
    '’s',
    "it''s",
    "y'all'd've",
  ],
  astral: ['𝒳', '𐍈', '🜁', '𝟘𝟙', '𐐀', '\u{10ffff}', '\u{e0041}'],
  numbers: ['1', '2023', '½', '²', 'Ⅷ', '٣٤', 'Ｅ１', '一二', '1,000.5', '3.14', '2,'],
  words: ['hello', 'World', 'RoBERTa', 'naïve', 'straße', 'ΑΣ', 'İstanbul', 'ﬁlm', 'a', 'the', 'Ångström'],
  special: [
    '<mask>',
    ' <mask>',
    '\x85<mask>',
    '\ufeff<mask>',
    '<s>',
    '</s>',
    '<pad>',
    '<unk>',
    '<MASK>',
    '<ma',
    '[MASK]',
    ' [SEP]',
    '[CLS]',
    '▁',
  ],
  symbols: [
    '!',
    '...',
    '--',
    '$%',
    '@user',
    '#tag',
    'http://a.b/c?d=e&f',
    '``',
    "''",
    '"',
    '(',
    ')',
    '_',
    '‐',
    '…',
    '~',
    ' !',
  ],
};

/** Lines of parts that are hard to split, joined with spaces or without; the same ones each time. */
function madeLines(count: number): string[] {
  const random = createRandom(7);
  const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;
  const all = Object.values(hardParts);
  // A third are mostly blanks and what goes with them.
  const blank = [hardParts.blanks, hardParts.controls, hardParts.words, hardParts.contractions];
  return Array.from({ length: count }, (_, i) =>
    Array.from(
      { length: 1 + random(14) },
      () => pick(pick(i % 3 === 0 ? blank : all)) + (random(3) === 0 ? ' ' : ''),
    ).join(''),
  );
}

/** One character alone, inside a word, doubled, and at the end of one. */
const contexts = (character: string) => `${character} a${character}b ${character}${character} A${character}`;
