import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { createRandom } from '../../src/data/random.js';
import { openTextModel, ownInputs, type TestText, type TextModel } from '../../src/export/text/testing.js';
import type { TextSettings } from '../../src/export/text/text-inputs.js';
import type { HostTensor } from '../../src/graph/index.js';
import { loadTokenizer } from '../../src/tokenization/load.js';
import type { LoadedTokenizer } from '../../src/tokenization/tokenizer.js';
import { askPython, sharedFolder } from './python.js';

// Strings to tokens in the graph, beside the tokenizer: on every line of the shared data, and on 10,000 made ones.

const files = [
  ...['train', 'dev', 'test'].map((split) => `chnsenticorp/${split}.tsv`),
  ...['dev', 'test'].map((split) => `lcqmc/${split}.tsv`),
  ...['train', 'dev', 'test'].map((split) => `sst-2/${split}.tsv`),
  ...['train', 'dev', 'test'].map((split) => `sst-2-sentences/${split}.tsv`),
  ...['dev', 'test'].map((split) => `chinadaily/example.${split}`),
];

const linesOf = (file: string): string[] => readFileSync(join(sharedFolder, 'data', file), 'utf8').split('\n');

const kinds: readonly (readonly [vocabulary: string, config: object])[] = [
  ['bert-base-chinese', {}],
  ['bert-base-uncased', {}],
  ['bert-base-chinese', { do_lower_case: false }],
  ['bert-base-uncased', { strip_accents: false, tokenize_chinese_chars: false }],
];

const batchSize = 256;

function* batchesOf<T>(all: readonly T[]): Generator<T[]> {
  for (let start = 0; start < all.length; start += batchSize) yield all.slice(start, start + batchSize);
}

const ranges: readonly (readonly [first: number, last: number])[] = [
  [0x00, 0x1f],
  [0x20, 0x7e],
  [0x7f, 0xa0],
  [0xa1, 0x24f],
  [0x300, 0x36f],
  [0x370, 0x52f],
  [0x590, 0x6ff],
  [0x900, 0xdff],
  [0xe00, 0x11ff],
  [0x1680, 0x1820],
  [0x1a00, 0x1cff],
  [0x1d00, 0x20ff],
  [0x2000, 0x206f],
  [0x2100, 0x2bff],
  [0x2e80, 0x31ff],
  [0x3400, 0x9fff],
  [0xa640, 0xabff],
  [0xac00, 0xd7ff],
  [0xe000, 0xe00f],
  [0xf900, 0xfaff],
  [0xfb00, 0xfdff],
  [0xfe00, 0xffff],
  [0x10000, 0x11fff],
  [0x1d100, 0x1d7ff],
  [0x1e000, 0x1f0ff],
  [0x1f300, 0x1faff],
  [0x1fffe, 0x3ffff],
  [0xe0000, 0xe01ef],
  [0xf0000, 0x10ffff],
];

const pieces = [
  ...[
    '[SEP]',
    '[CLS]',
    '[MASK]',
    '[PAD]',
    '[UNK]',
    '[sep]',
    '[MASK',
    '[SE',
    'P]',
    '[unused1]',
    '##ing',
    '##',
    '[[SEP]]',
  ],
  ...[
    '\u0000',
    '\ufeff',
    '\ufffd',
    '\u200d',
    '\u200b',
    '\u00ad',
    '\u2028',
    '\u2029',
    '\u0085',
    '\u00a0',
    '\u3000',
    '\t',
    '\r\n',
  ],
  ...[
    '\u0301',
    'e\u0301\u0327',
    'İ',
    'ΑΣ',
    'Σ',
    'ς',
    'ß',
    'ẞ',
    'ﬁ',
    'ǅ',
    '한국어',
    '\u1112\u1161\u11ab',
    'ｆｕｌｌ',
    '①',
    '½',
  ],
  ...['👩‍👩‍👧‍👦', '🏳️‍🌈', '🇩🇪', '‮abc‬', 'العربية', 'עִבְרִית', 'हिन्दी', 'ไทย', '\u{2070e}', '\u{2b820}', '\u{2f800}'],
  ...[
    '\u302e\u1baa\u1b44',
    '\ufdd0',
    '\u{1ffff}',
    '\u1d165\u0334',
    '\u0345\u0301',
    "don't",
    'U.S.A.',
    'unaffable',
    '3,14',
    'a_b',
  ],
];

const broken = ['ff', 'c0af', 'eda080', 'f0908d', 'e4b8', 'f8888080', '80', 'f4908080', 'c3'].map((hex) =>
  Buffer.from(hex, 'hex'),
);

/** Strings of everything that a client may send. */
function hostileTexts(count: number, words: readonly string[]): Uint8Array[] {
  const random = createRandom(20260);
  const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;
  const character = (): string => {
    const [first, last] = pick(ranges);
    const codePoint = first + random(last - first + 1);
    return codePoint >= 0xd800 && codePoint <= 0xdfff ? ' ' : String.fromCodePoint(codePoint);
  };
  const part = (): string | Buffer => {
    switch (random(9)) {
      case 0:
        return pick(pieces);
      case 1:
        return ' ';
      case 2:
        return character().repeat(1 + random(130));
      case 3:
        return Array.from({ length: 90 + random(20) }, () => pick('abcdefghij'.split(''))).join('');
      case 4:
        return random(4) === 0 ? pick(broken) : pick(words);
      case 5:
        return pick(words).replace('##', '');
      case 6:
        return pick(words).toUpperCase();
      default:
        return character();
    }
  };
  return Array.from({ length: count }, (_, i) =>
    Buffer.concat(Array.from({ length: i % 97 === 0 ? i % 2 : 1 + random(25) }, () => Buffer.from(part()))),
  );
}

const answerSchema = z.array(z.array(z.record(z.string(), z.tuple([z.string(), z.tuple([z.number(), z.number()])]))));

/** @param rows what each row was made of, for messages */
function expectSame(
  got: Readonly<Record<string, HostTensor>>,
  expected: Readonly<Record<string, HostTensor>>,
  rows: readonly unknown[],
  title = '',
): void {
  for (const [name, { shape, data }] of Object.entries(got)) {
    const other = expected[name]!;
    const place = data.findIndex((value: unknown, i: number) => value !== other.data[i]);
    const row = rows[Math.floor(place / shape[1]!)];
    const what = `${title} ${name} of ${JSON.stringify([row].flat().map(String))}`;
    expect([shape, place], what).to.deep.equal([other.shape, -1]);
  }
}

describe('texts to tokens in the graph', () => {
  let folder: string;
  const opened: { tokenizer: LoadedTokenizer; models: { model: TextModel; settings: TextSettings; path: string }[] }[] =
    [];

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-text-'));
    kinds.forEach(([vocabulary, config], i) => {
      const path = join(folder, String(i));
      mkdirSync(path);
      writeFileSync(join(path, 'vocab.txt'), readFileSync(join(sharedFolder, 'vocab', vocabulary, 'vocab.txt')));
      writeFileSync(join(path, 'tokenizer_config.json'), JSON.stringify(config));
      const tokenizer = loadTokenizer(path);
      const models = [false, true].map((isPair) => {
        const settings = { isPair, maxLength: isPair ? 40 : 128 };
        const saved = join(path, isPair ? 'pairs' : 'texts');
        return { model: openTextModel(saved, tokenizer, settings), settings, path: saved };
      });
      opened.push({ tokenizer, models });
    });
  });
  after(() => {
    for (const { models } of opened) for (const { model } of models) model.dispose();
    rmSync(folder, { recursive: true });
  });

  function expectEqual(kind: number, isPair: boolean, texts: readonly TestText[], pairs?: readonly TestText[]): void {
    const { tokenizer, models } = opened[kind]!;
    const { model, settings } = models[Number(isPair)]!;
    const rows = texts.map((text, i) => [text, pairs?.[i]]);
    expectSame(model.run(texts, pairs), ownInputs(tokenizer, settings, texts, pairs), rows, kinds[kind]![0]);
  }

  for (const kind of [0, 1]) {
    it(`${kinds[kind]![0]}: every line of the shared data`, () => {
      for (const file of files) for (const batch of batchesOf(linesOf(file))) expectEqual(kind, false, batch);
    });

    it(`${kinds[kind]![0]}: pairs of every line`, () => {
      for (const file of ['lcqmc/dev.tsv', 'lcqmc/test.tsv', 'sst-2-sentences/dev.tsv', 'chinadaily/example.dev']) {
        for (const batch of batchesOf(linesOf(file))) {
          const columns = batch.map((line) => line.split('\t'));
          const texts = columns.map(([text = '']) => text);
          expectEqual(
            kind,
            true,
            texts,
            columns.map((cells, i) => cells[1] ?? texts.at(-1 - i)!),
          );
        }
      }
    });
  }

  for (const words of ['words', 'characters', 'split'] as const) {
    it(`${words}, of lines of the shared data and of hostile strings`, () => {
      for (const kind of [0, 1]) {
        const { tokenizer } = opened[kind]!;
        const settings = { isPair: false, maxLength: 128, words };
        const model = openTextModel(join(folder, `${kind}-${words}`), tokenizer, settings);
        try {
          const lines = ['chnsenticorp/dev.tsv', 'sst-2-sentences/dev.tsv'].flatMap(linesOf);
          const strings = hostileTexts(1_000, [...tokenizer.steps.tokenIds.keys()]);
          for (const batch of batchesOf<TestText>([...lines, ...strings])) {
            const { word_mask: mask, input_ids: ids } = model.run(batch);
            expectSame({ word_mask: mask!, input_ids: ids! }, ownInputs(tokenizer, settings, batch), batch);
          }
        } finally {
          model.dispose();
        }
      }
    });
  }

  it('10,000 hostile strings, alone and in pairs, with TensorFlow’s loader and with Python’s', () => {
    const hashes = ({ shape, data }: HostTensor): [string, readonly number[]] => {
      const values = Int32Array.from(data as Int32Array);
      return [createHash('sha256').update(new Uint8Array(values.buffer)).digest('hex'), shape];
    };
    const expected: unknown[] = [];
    const requests: unknown[] = [];
    kinds.forEach((_, kind) => {
      const { tokenizer, models } = opened[kind]!;
      const texts = hostileTexts(kind < 2 ? 10_000 : 2_500, [...tokenizer.steps.tokenIds.keys()]);
      for (const { model, settings, path } of models) {
        const batches = [...batchesOf(texts)].slice(0, settings.isPair ? 4 : undefined);
        const inputs = batches.map((batch) => ({
          text: batch,
          ...(settings.isPair ? { pair: [...batch].reverse() } : {}),
        }));
        for (const { text, pair } of inputs) expectEqual(kind, settings.isPair, text, pair);
        const some = inputs.slice(0, 4);
        const base64 = (list: readonly Uint8Array[]): string[] =>
          list.map((text) => Buffer.from(text).toString('base64'));
        requests.push({
          folder: path,
          batches: some.map(({ text, pair }) => ({
            text: base64(text),
            ...(pair === undefined ? {} : { pair: base64(pair) }),
          })),
        });
        expected.push(
          some.map(({ text, pair }) =>
            Object.fromEntries(Object.entries(model.run(text, pair)).map(([name, value]) => [name, hashes(value)])),
          ),
        );
      }
    });
    expect(askPython('text_signature.py', { models: requests }, answerSchema)).to.deep.equal(expected);
  });
});
