import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { UserError } from '../errors.js';
import { loadTokenizer } from './load.js';
import type { Tokenizer } from './tokenizer.js';

// Made by make.py in that folder, with Python Transformers.
const fixtures = join('test', 'fixtures', 'tokenization');

const tablesSchema = z.array(
  z.object({
    name: z.string(),
    folder: z.string().optional(),
    config: z.record(z.string(), z.unknown()),
    cases: z.array(
      z.object({
        text: z.string(),
        pair: z.string().nullable(),
        maxLength: z.number().nullable(),
        inputIds: z.array(z.number()),
        firstLength: z.number(),
        truncated: z.boolean(),
      }),
    ),
  }),
);
const readTables = (name: string) => tablesSchema.parse(JSON.parse(readFileSync(join(fixtures, name), 'utf8')));
const tables = readTables('cases.json');
const families = readTables('families.json');

function expectTable(folder: string, name: string): void {
  const tokenizer = loadTokenizer(folder);
  for (const { text, pair, maxLength, ...expected } of [...tables, ...families].find((one) => one.name === name)!
    .cases) {
    const got = tokenizer.encode(text, pair ?? undefined, maxLength ?? 512);
    expect(got, JSON.stringify([text, pair, maxLength])).to.deep.equal(expected);
  }
}

describe('loadTokenizer', () => {
  let folder: string;
  const write = (name: string, content: string) => {
    writeFileSync(join(folder, name), content);
  };
  const expectError = (message: string | RegExp) => {
    expect(() => loadTokenizer(folder))
      .to.throw(UserError, message)
      .with.property('kind', 'files');
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-tokenizer-'));
  });

  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  for (const { name, config } of tables) {
    it(`gives the ids of Transformers from vocab.txt: ${name}`, () => {
      cpSync(join(fixtures, 'vocab', 'vocab.txt'), join(folder, 'vocab.txt'));
      if (Object.keys(config).length > 0) write('tokenizer_config.json', JSON.stringify(config));
      expectTable(folder, name);
    });
  }

  const copy = (from: string) => {
    cpSync(join(fixtures, from), folder, { recursive: true });
  };

  for (const { name, config, folder: from } of families) {
    const others = from === 'roberta' ? ['fairseq'] : [];
    for (const files of [from!, ...others]) {
      it(`gives the ids of Transformers from the files in ${files}/: ${name}`, () => {
        copy(files);
        if (Object.keys(config).length > 0) write('tokenizer_config.json', JSON.stringify(config));
        expectTable(folder, name);
      });
    }
  }

  it('shows tokens as they read in a text', () => {
    const roberta = loadTokenizer(join(fixtures, 'roberta'));
    const texts = (tokenizer: Tokenizer, text: string) =>
      tokenizer.encode(text, undefined, 99).inputIds.map((id) => tokenizer.textOf(id));
    expect(texts(roberta, 'Hello world<mask>')).to.deep.equal(['<s>', 'Hello', ' world', '<mask>', '</s>']);
    expect(texts(roberta, 'é☃').slice(1, -1)).to.deep.equal(['é', '\uFFFD', '\uFFFD', '\uFFFD']);
    const albert = loadTokenizer(join(fixtures, 'albert'));
    expect(texts(albert, 'the movie').join('')).to.equal('[CLS] the movie[SEP]');
    const bert = loadTokenizer(join(fixtures, 'vocab'));
    expect(texts(bert, 'unable')).to.deep.equal(['[CLS]', 'un', '##able', '[SEP]']);
    for (const tokenizer of [roberta, albert, bert]) expect(() => tokenizer.textOf(9999)).to.throw(RangeError, '9999');
  });

  it('takes blanks into a mask or leaves them, as the settings say', () => {
    copy('roberta');
    const tokens = () => {
      const tokenizer = loadTokenizer(folder);
      return tokenizer.tokens(tokenizer.encode('a <mask> b', undefined, 99).inputIds).slice(1, -1);
    };
    expect(tokens()).to.deep.equal(['a', '<mask>', 'Ġb']);
    const maskOf = (flags: object) => JSON.stringify({ mask_token: { content: '<mask>', ...flags } });
    write('special_tokens_map.json', maskOf({ lstrip: false, rstrip: true }));
    expect(tokens()).to.deep.equal(['a', 'Ġ', '<mask>', 'b']);
    write('tokenizer_config.json', JSON.stringify({ mask_token: '<mask>', added_tokens_decoder: {} }));
    rmSync(join(folder, 'special_tokens_map.json'));
    expect(tokens()).to.deep.equal(['a', '<mask>', 'Ġb']);
  });

  it('splits at tokens that the settings add, and gives new ones ids after the vocabulary', () => {
    copy('vocab');
    const size = loadTokenizer(folder).vocabSize;
    write('added_tokens.json', JSON.stringify({ '<user>': size }));
    write('tokenizer_config.json', JSON.stringify({ additional_special_tokens: ['<url>', '[unused1]'] }));
    const tokenizer = loadTokenizer(folder);
    expect(tokenizer.vocabSize).to.equal(size + 2);
    expect(tokenizer.tokens(tokenizer.encode('a<USER>b<url>[unused1]<URL>', undefined, 99).inputIds)).to.deep.equal([
      '[CLS]',
      'a',
      '<user>',
      'b',
      '<url>',
      '[unused1]',
      '<',
      '[UNK]',
      '>',
      '[SEP]',
    ]);
  });

  it('keeps the case where the vocabulary is a cased one and nothing is said, and notes it', () => {
    const capitals = Array.from({ length: 26 }, (_, i) => String.fromCharCode(65 + i));
    write('vocab.txt', ['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'Good', 'good', ...capitals].join('\n'));
    const middle = () => loadTokenizer(folder).encode('Good', undefined, 9).inputIds[1];
    expect(middle()).to.equal(4);
    expect(loadTokenizer(folder).notes).to.have.length(1);
    expect(loadTokenizer(folder).notes[0]).to.match(/vocab\.txt has capital letters, .* not lower-cased$/u);
    write('tokenizer_config.json', '{"do_lower_case": true}');
    expect(middle()).to.equal(5);
    expect(loadTokenizer(folder).notes).to.deep.equal([]);
    expect(loadTokenizer(join(fixtures, 'vocab')).notes).to.deep.equal([]);
  });

  it('puts a space before the text of a tokenizer.json where tokenizer_config.json says so', () => {
    const content = {
      added_tokens: [{ id: 0, content: '<s>' }],
      normalizer: null,
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false },
      post_processor: { type: 'RobertaProcessing', cls: ['<s>', 0], sep: ['</s>', 2] },
      decoder: { type: 'ByteLevel' },
      model: {
        type: 'BPE',
        vocab: { '<s>': 0, '<pad>': 1, '</s>': 2, '<unk>': 3, a: 4, Ġ: 5, Ġa: 6 },
        merges: ['Ġ a'],
      },
    };
    write('tokenizer.json', JSON.stringify(content));
    // A character outside the vocabulary is dropped where the model has no unknown token.
    expect(loadTokenizer(folder).encode('a za', undefined, 9).inputIds).to.deep.equal([0, 4, 5, 4, 2]);
    write('tokenizer_config.json', '{"tokenizer_class": "RobertaTokenizer", "add_prefix_space": true}');
    expect(loadTokenizer(folder).encode('a za', undefined, 9).inputIds).to.deep.equal([0, 6, 5, 4, 2]);
  });

  it('encodes a word of 320,000 letters in time that is not quadratic in them', () => {
    const word = 'goodfilm'.repeat(40_000);
    const textOfWord = (from: string) => {
      const tokenizer = loadTokenizer(join(fixtures, from));
      const { inputIds } = tokenizer.encode(word, undefined, Number.MAX_SAFE_INTEGER);
      return inputIds.slice(1, -1).map((id) => tokenizer.textOf(id));
    };
    expect(textOfWord('roberta').join('') === word).to.equal(true);
    expect(textOfWord('albert').join('') === ` ${word}`).to.equal(true);
    expect(textOfWord('vocab')).to.deep.equal(['[UNK]']);
  });

  it('gives the ids of Transformers from tokenizer.json, whatever truncation and padding are set inside it', () => {
    expectTable(join(fixtures, 'json'), 'cased');
  });

  it('takes lower-casing from tokenizer_config.json where tokenizer.json says otherwise', () => {
    cpSync(join(fixtures, 'json', 'tokenizer.json'), join(folder, 'tokenizer.json'));
    expectTable(folder, 'cased');
    write('tokenizer_config.json', JSON.stringify({ do_lower_case: true }));
    expectTable(folder, 'default');
    write('tokenizer_config.json', JSON.stringify({ do_lower_case: true, tokenizer_class: 'PreTrainedTokenizerFast' }));
    expectTable(folder, 'cased');
  });

  it('reads a vocab.txt with Windows line ends and a token that is U+2028', () => {
    write('vocab.txt', readFileSync(join(fixtures, 'vocab', 'vocab.txt'), 'utf8').replaceAll('\n', '\r\n'));
    const tokenizer = loadTokenizer(folder);
    expect(tokenizer.tokens([2, 3, 4])).to.deep.equal(['\u2028', '[UNK]', '[CLS]']);
    expectTable(folder, 'default');
  });

  it('names special ids, vocabulary size and the files to take along', () => {
    const tokenizer = loadTokenizer(join(fixtures, 'json'));
    expect(tokenizer.vocabSize).to.equal(
      readFileSync(join(fixtures, 'vocab', 'vocab.txt'), 'utf8').split('\n').length - 1,
    );
    expect(tokenizer.padTokenId).to.equal(0);
    expect(tokenizer.unkTokenId).to.equal(3);
    expect(tokenizer.clsTokenId).to.equal(4);
    expect(tokenizer.sepTokenId).to.equal(5);
    expect(tokenizer.maskTokenId).to.equal(6);
    expect(tokenizer.files).to.deep.equal(
      ['tokenizer.json', 'tokenizer_config.json'].map((name) => join(fixtures, 'json', name)),
    );
    expect(() => tokenizer.tokens([9999])).to.throw(RangeError, '9999');
  });

  it('takes the names of special tokens from tokenizer_config.json', () => {
    write('vocab.txt', 'p\nu\nc\ns\ngood\n');
    write('tokenizer_config.json', '{"pad_token":"p","unk_token":{"content":"u"},"cls_token":"c","sep_token":"s"}');
    const tokenizer = loadTokenizer(folder);
    expect(tokenizer.encode('good bad', undefined, 9).inputIds).to.deep.equal([2, 4, 1, 3]);
    expect(tokenizer.maskTokenId).to.equal(undefined);
  });

  it('lays a pair out as the post-processor says: RoBERTa has two separators and one segment', () => {
    const tokens = ['<s>', '<pad>', '</s>', '<unk>', 'good', 'film'];
    const content = {
      added_tokens: tokens.slice(0, 4).map((token, id) => ({ id, content: token, special: true })),
      normalizer: null,
      pre_tokenizer: { type: 'WhitespaceSplit' },
      post_processor: { type: 'RobertaProcessing', cls: ['<s>', 0], sep: ['</s>', 2] },
      decoder: null,
      model: {
        type: 'WordPiece',
        unk_token: '<unk>',
        continuing_subword_prefix: '##',
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      },
    };
    write('tokenizer.json', JSON.stringify(content));
    expect(loadTokenizer(folder).encode('good', 'film good', 7)).to.deep.equal({
      inputIds: [0, 4, 2, 2, 5, 4, 2],
      firstLength: 7,
      truncated: false,
    });
  });

  it('refuses a maximum that leaves no room for text', () => {
    const tokenizer = loadTokenizer(join(fixtures, 'vocab'));
    expect(() => tokenizer.encode('good', undefined, 2)).to.throw(UserError, 'max_length: got 2, expected at least 3');
    expect(() => tokenizer.encode('good', 'film', 4)).to.throw(UserError, 'max_length: got 4, expected at least 5');
  });

  it('says what it looked for in a folder without a tokenizer', () => {
    write('model.safetensors', '');
    expectError(/looked for tokenizer\.json, vocab\.txt, .*, found model\.safetensors$/u);
    expect(() => loadTokenizer(join(folder, 'none'))).to.throw(UserError, 'no such folder');
  });

  it('names the special tokens that a vocabulary lacks', () => {
    write('vocab.txt', 'good\nfilm\n[PAD]\n[UNK]\n');
    expectError(/vocab\.txt: no \[CLS\] or <s>, no \[SEP\] or <\/s> in the vocabulary$/u);
  });

  it('refuses broken files by name', () => {
    writeFileSync(join(folder, 'vocab.txt'), Buffer.from([0x61, 0xff]));
    expectError(/vocab\.txt: /u);
    write('tokenizer.json', '{"added_tokens": [');
    expectError(/tokenizer\.json: .*JSON/u);
    write('tokenizer.json', '{"added_tokens": [], "model": {}}');
    expectError(/tokenizer\.json: .*post_processor/su);
    write(
      'tokenizer.json',
      readFileSync(join(fixtures, 'json', 'tokenizer.json'), 'utf8').replace('BertPreTok', 'Other'),
    );
    expectError(/tokenizer\.json: not a tokenizer that can be used: .*Other/u);
  });

  it('refuses broken vocabularies of RoBERTa and ALBERT by name and line', () => {
    copy('roberta');
    write('merges.txt', '#version: 0.2\nĠ t\nĠ t h\n');
    expectError(/merges\.txt:3: got "Ġ t h", expected two symbols and one space$/u);
    write('vocab.json', '{"<s>": "0"}');
    expectError(/vocab\.json: .*<s>/su);
    rmSync(join(folder, 'vocab.json'));
    const model = readFileSync(join(fixtures, 'albert', 'spiece.model'));
    writeFileSync(join(folder, 'spiece.model'), model.subarray(0, model.length - 7));
    expectError(/spiece\.model: not a SentencePiece model: /u);
    write('spiece.model', '');
    expectError(/spiece\.model: not a SentencePiece model: /u);
  });

  it('refuses settings that would change ids', () => {
    cpSync(join(fixtures, 'vocab', 'vocab.txt'), join(folder, 'vocab.txt'));
    write('tokenizer_config.json', '{"truncation_side": "left"}');
    expectError(/truncation_side is "left"/u);
    write('tokenizer_config.json', '{"split_special_tokens": true}');
    expectError(/split_special_tokens is true/u);
    write('tokenizer_config.json', '{"do_lower_case": "no"}');
    expectError(/do_lower_case/u);
  });
});
