import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { UserError } from '../errors.js';
import { findFairseqFiles, writeFairseqVocabulary } from './fairseq.js';
import { loadTokenizer } from './load.js';

// Made by make.py in that folder: one vocabulary as fairseq and as Hugging Face have it.
const fixtures = join('test', 'fixtures', 'tokenization');

describe('fairseq dictionaries', () => {
  let folder: string;
  const read = (...path: string[]) => readFileSync(join(...path), 'utf8');
  const write = (name: string, content: string) => {
    writeFileSync(join(folder, name), content);
  };
  const expectError = (action: () => unknown, message: RegExp) => {
    expect(action).to.throw(UserError, message).with.property('kind', 'files');
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-fairseq-'));
    cpSync(join(fixtures, 'fairseq'), folder, { recursive: true });
  });

  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  it('are written as vocab.json and merges.txt of the same model, byte for byte', () => {
    const written = writeFairseqVocabulary(findFairseqFiles(folder)!, folder);
    expect(written).to.deep.equal([join(folder, 'vocab.json'), join(folder, 'merges.txt')]);
    for (const name of ['vocab.json', 'merges.txt']) {
      expect(read(folder, name)).to.equal(read(fixtures, 'roberta', name));
    }
    expect(readdirSync(folder).sort()).to.deep.equal([
      'dict.txt',
      'encoder.json',
      'merges.txt',
      'vocab.bpe',
      'vocab.json',
    ]);
  });

  it('take merges.txt in place of vocab.bpe', () => {
    write('merges.txt', read(folder, 'vocab.bpe'));
    rmSync(join(folder, 'vocab.bpe'));
    expect(findFairseqFiles(folder)!.merges).to.equal(join(folder, 'merges.txt'));
    expect(loadTokenizer(folder).encode('Hello world', undefined, 9).inputIds).to.deep.equal(
      loadTokenizer(join(fixtures, 'roberta')).encode('Hello world', undefined, 9).inputIds,
    );
  });

  it('give the ids of fairseq: special tokens first, the mask last', () => {
    const tokenizer = loadTokenizer(folder);
    const { clsTokenId, padTokenId, sepTokenId, unkTokenId, maskTokenId, vocabSize } = tokenizer;
    expect([clsTokenId, padTokenId, sepTokenId, unkTokenId]).to.deep.equal([0, 1, 2, 3]);
    expect(maskTokenId).to.equal(vocabSize - 1);
    expect(tokenizer.tokens([vocabSize - 4, vocabSize - 2])).to.deep.equal(['madeupword0000', 'madeupword0002']);
    expect(tokenizer.files.map((file) => file.slice(folder.length + 1))).to.deep.equal([
      'dict.txt',
      'encoder.json',
      'vocab.bpe',
    ]);
  });

  it('cannot be used alone: the error names the files to add', () => {
    rmSync(join(folder, 'encoder.json'));
    expectError(() => loadTokenizer(folder), /dict\.txt is there, encoder\.json is not$/u);
    rmSync(join(folder, 'vocab.bpe'));
    expectError(() => loadTokenizer(folder), /dict\.txt is there, encoder\.json and vocab\.bpe are not$/u);
    expect(() => loadTokenizer(folder))
      .to.throw(UserError)
      .with.property('hint')
      .that.matches(/encoder\.json and vocab\.bpe .* or vocab\.json and merges\.txt/u);
    rmSync(join(folder, 'dict.txt'));
    expect(findFairseqFiles(folder)).to.equal(undefined);
  });

  it('are refused by line where they are broken', () => {
    const lines = read(folder, 'dict.txt').split('\n');
    const withLine = (line: string) => {
      write('dict.txt', [lines[0], line, ...lines.slice(2)].join('\n'));
    };
    withLine('13');
    expectError(() => loadTokenizer(folder), /dict\.txt:2: got "13", expected a symbol and its count$/u);
    withLine(lines[0]!);
    expectError(() => loadTokenizer(folder), /dict\.txt:2: symbol "\d+" comes a second time$/u);
    withLine('99999 7');
    expectError(() => loadTokenizer(folder), /dict\.txt:2: .*encoder\.json has no token with the id 99999$/u);
    withLine(`${lines[0]!} #fairseq:overwrite`);
    expect(loadTokenizer(folder).vocabSize).to.equal(loadTokenizer(join(fixtures, 'fairseq')).vocabSize);
  });

  it('that lack tokens encode them as unknown, and are not written as vocab.json', () => {
    const { Hello } = z.object({ Hello: z.int() }).parse(JSON.parse(read(folder, 'encoder.json')));
    const kept = read(folder, 'dict.txt').replace(new RegExp(`^${Hello} \\d+\\n`, 'mu'), '');
    write('dict.txt', kept);
    const tokenizer = loadTokenizer(folder);
    expect(tokenizer.tokens(tokenizer.encode('Hello world', undefined, 9).inputIds)).to.deep.equal([
      '<s>',
      '<unk>',
      'Ġworld',
      '</s>',
    ]);
    expectError(
      () => writeFairseqVocabulary(findFairseqFiles(folder)!, folder),
      /dict\.txt: 1 of the tokens of .*vocab\.bpe have no id, the first is "Hello"$/u,
    );
    expect(readdirSync(folder)).not.to.include('vocab.json');
  });
});
