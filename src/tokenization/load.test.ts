import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { UserError } from '../errors.js';
import { loadTokenizer } from './load.js';

// Made by make.py in that folder, with Python Transformers.
const fixtures = join('test', 'fixtures', 'tokenization');

const tablesSchema = z.array(
  z.object({
    name: z.string(),
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
const tables = tablesSchema.parse(JSON.parse(readFileSync(join(fixtures, 'cases.json'), 'utf8')));

function expectTable(folder: string, name: string): void {
  const tokenizer = loadTokenizer(folder);
  for (const { text, pair, maxLength, ...expected } of tables.find((table) => table.name === name)!.cases) {
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
