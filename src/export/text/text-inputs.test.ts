import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { createRandom } from '../../data/random.js';
import type { WordKind } from '../../data/word-splitter.js';
import { loadTokenizer } from '../../tokenization/load.js';
import { openTextModel, ownInputs, type TestText } from './testing.js';
import { textInputs, type TextSettings } from './text-inputs.js';

const jamo = Array.from('한', (character) => character.normalize('NFD')).join('');
const tokens = [
  ...[
    '[PAD]',
    '[UNK]',
    '[CLS]',
    '[SEP]',
    '[MASK]',
    'un',
    '##aff',
    '##able',
    '##a',
    'affable',
    'a',
    '##b',
    '##ba',
    'ab',
  ],
  ...[
    'good',
    'cafe',
    'Cafe',
    'Café',
    '##fé',
    'σας',
    'ς',
    '中',
    '文',
    '\u{20000}',
    '!',
    '.',
    '-',
    '##!',
    'i',
    '##s',
    'istanbul',
  ],
  ...Array.from(jamo),
  ...Array.from(jamo, (letter) => `##${letter}`),
  ...['\u0d9c', '##\u0dcf', 'ab##', '😀', '[', ']'],
];

const texts: readonly TestText[] = [
  'unaffable',
  '',
  ' \t\n\u00a0\u3000\u2028',
  'a good café, UNAFFABLE! ab.a-b',
  'abba abbab abab',
  '中文good中 \u{20000}\u{20001}',
  '한국 한 하',
  'ΣΑΣ σας ς',
  'İstanbul i\u0307s',
  '[SEP] a[MASK]b [sep] [MA\u0000SK] [UNK][CLS][PAD]',
  '\ufeffa\u200db\u00ad\u0001\u0000!\ufffd \ud83d\ude00\ue000\ufdd0\uffff\u{10ffff}',
  `${'a'.repeat(100)} ${'a'.repeat(101)} ${'ab'.repeat(50)}`,
  'xa ax a x',
  `${'a '.repeat(40)}unaffable`,
  '\u0d9c\u0dcf\u0d9c a\u037eb\u2260\u1fef',
  Uint8Array.of(0x61, 0xff, 0x62, 0x20, 0xe4, 0xb8, 0x61, 0xed, 0xa0, 0x80, 0x62, 0xf0, 0x9f, 0x98),
];

describe('the tokenizer in the graph', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-text-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  function tokenizerOf(config: object, vocabulary = `${tokens.join('\n')}\n`): ReturnType<typeof loadTokenizer> {
    const path = join(folder, 'tokenizer');
    mkdirSync(path);
    writeFileSync(join(path, 'vocab.txt'), vocabulary);
    writeFileSync(join(path, 'tokenizer_config.json'), JSON.stringify(config));
    return loadTokenizer(path);
  }

  function expectEqual(config: object, settings: TextSettings, vocabulary?: string): void {
    const tokenizer = tokenizerOf(config, vocabulary);
    const model = openTextModel(join(folder, 'model'), tokenizer, settings);
    try {
      const pairs = settings.isPair ? texts.map((_, i) => texts[(5 * i + 3) % texts.length]!) : undefined;
      expect(model.run(texts, pairs)).to.deep.equal(ownInputs(tokenizer, settings, texts, pairs));
      texts.forEach((text, i) => {
        const pair = pairs && [pairs[i]!];
        expect(model.run([text], pair)).to.deep.equal(ownInputs(tokenizer, settings, [text], pair));
      });
      const none = model.run([], settings.isPair ? [] : undefined);
      expect(none.input_ids!.shape[0]).to.equal(0);
    } finally {
      model.dispose();
    }
  }

  for (const [name, config] of [
    ['lower-cased', {}],
    ['cased', { do_lower_case: false }],
    ['lower-cased with accents', { strip_accents: false }],
    ['cased without accents', { do_lower_case: false, strip_accents: true }],
    ['with Chinese characters in one word', { tokenize_chinese_chars: false }],
  ] as const) {
    it(`${name}: makes the tokens that the tokenizer makes, of single texts`, () => {
      expectEqual(config, { isPair: false, maxLength: 16 });
    });
  }

  for (const maxLength of [5, 10, 11, 64]) {
    it(`cuts pairs to ${maxLength} tokens as the tokenizer does`, () => {
      expectEqual({}, { isPair: true, maxLength });
    });
  }

  it('takes a vocabulary whose lines are no tokens of their own', () => {
    expectEqual({}, { isPair: false, maxLength: 16 }, `${tokens.join('\r\n')}\r\na\r\n\r\n\r\n`);
    expect(readFileSync(join(folder, 'model', 'assets', 'wordpiece.txt'), 'utf8').split('\n')[10]).to.equal(' 10');
  });

  it('says where the tokens of words and of characters stand', () => {
    const tokenizer = tokenizerOf({});
    const text = '\u0000[SEP] unaffable\u{1f600}x 中文café a';
    const found = (words: WordKind): unknown[] => {
      const model = openTextModel(join(folder, words), tokenizer, { isPair: false, maxLength: 12, words });
      try {
        const outputs = model.run(['', text]);
        const [size = 0, length = 0] = outputs.input_ids!.shape;
        expect(size).to.equal(2);
        const row = (name: string, i: number): number[] =>
          Array.from(outputs[name]!.data as Int32Array).slice(i * length, (i + 1) * length);
        expect(row('word_mask', 0)).to.deep.equal(Array.from({ length }, () => 0));
        expect(row('starts', 0)).to.deep.equal(Array.from({ length }, () => -1));
        const characters = Array.from(text);
        return tokenizer
          .tokens(row('input_ids', 1))
          .map((token, i) => [
            token,
            characters.slice(row('starts', 1)[i], row('ends', 1)[i]).join(''),
            row('word_mask', 1)[i],
          ]);
      } finally {
        model.dispose();
      }
    };
    expect(found('words')).to.deep.equal([
      ['[CLS]', '', 0],
      ['[SEP]', '[SEP]', 1],
      ['[UNK]', 'unaffable\u{1f600}x', 1],
      ['中', '中', 1],
      ['文', '文', 1],
      ['cafe', 'café', 1],
      ['a', 'a', 1],
      ['[SEP]', '', 0],
    ]);
    expect(found('split')).to.deep.equal([
      ['[CLS]', '', 0],
      ['[', '[', 1],
      ['[UNK]', 'SEP', 1],
      [']', ']', 1],
      ['un', 'un', 1],
      ['##aff', 'aff', 0],
      ['##able', 'able', 0],
      ['\u{1f600}', '\u{1f600}', 1],
      ['[UNK]', 'x', 1],
      ['中', '中', 1],
      ['文', '文', 1],
      ['[SEP]', '', 0],
    ]);
    const tokenOf = (character: string): string => (/[a[\]]/.test(character) ? character : '[UNK]');
    expect(found('characters')).to.deep.equal([
      ['[CLS]', '', 0],
      ...Array.from('[SEP]unaff', (character) => [tokenOf(character), character, 1]),
      ['[SEP]', '', 0],
    ]);
  });

  it('splits texts into words as textWords does, whatever stands beside what', () => {
    const some = [
      ...['a', 'b', 'Z', '7', 'é', 'Ω', '\u0301', '\u0327', '\u20dd', '\ufe0f'],
      ...['中', '\u{20000}', 'あ', 'ア', '한', '\u1112\u1161', 'ก', '\u0e31', '\u0e48', 'က', '\u1031', '\u302a'],
      ...['!', '-', '€', '①', '😀', '\u200d', '\ufeff', '\u0000', '\u0085', '\ufffd', '[SEP]', '[', '_', '\u064b'],
      ...[' ', '\t', '\n', '\u00a0', '\u3000', '\u2028', '\u180e'],
    ];
    const random = createRandom(31);
    const made = Array.from({ length: 600 }, (_, i) =>
      Array.from({ length: i % 50 === 0 ? 0 : 1 + random(14) }, () => some[random(some.length)]!).join(''),
    );
    const vocabulary = [
      ...tokens,
      ...['b', 'z', 'Z', '7', 'é', 'あ', 'ア', 'ก', 'ก\u0e31', '##\u0301', '##7', '€', '\u0301a'],
    ];
    for (const config of [{}, { do_lower_case: false }, { strip_accents: false }]) {
      const tokenizer = tokenizerOf(config, `${vocabulary.join('\n')}\n`);
      const settings = { isPair: false, maxLength: 12, words: 'split' } as const;
      const model = openTextModel(join(folder, 'model'), tokenizer, settings);
      try {
        made.slice(0, 60).forEach((text) => {
          const { input_ids: ids, word_mask: mask } = ownInputs(tokenizer, settings, [text]);
          expect(model.run([text]), JSON.stringify(text)).to.deep.include({ input_ids: ids, word_mask: mask });
        });
        const { input_ids: ids, word_mask: mask } = ownInputs(tokenizer, settings, made);
        expect(model.run(made)).to.deep.include({ input_ids: ids, word_mask: mask });
      } finally {
        model.dispose();
        rmSync(join(folder, 'model'), { recursive: true });
        rmSync(join(folder, 'tokenizer'), { recursive: true });
      }
    }
  });

  it('says why a tokenizer cannot be had in the graph', () => {
    const tokenizer = tokenizerOf({});
    const reason = (change: object): unknown =>
      textInputs({ ...tokenizer, steps: { ...tokenizer.steps, ...change } }, { isPair: false, maxLength: 16 });
    expect(reason({ model: 'BPE' })).to.equal('its tokenizer is BPE, not WordPiece');
    expect(reason({ normalizer: 'NFKC' })).to.equal("its normalizer is not BERT's");
    expect(reason({ cleansText: false })).to.equal("its normalizer is not BERT's");
    expect(reason({ preTokenizer: undefined })).to.equal("its pre-tokenizer is not BERT's");
    expect(
      reason({
        tokenIds: new Map([
          ['a', 0],
          ['b', 0],
        ]),
      }),
    ).to.match(/two tokens of one id/);
    expect(
      reason({
        tokenIds: new Map([
          ['\u302e', 0],
          ['##\u1baa', 1],
        ]),
      }),
    ).to.match(/marks whose order/);
  });
});
