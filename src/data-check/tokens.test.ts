import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { loadTokenizer } from '../tokenization/load.js';
import type { Tokenizer } from '../tokenization/tokenizer.js';
import { createTokenCheck, sampleStep } from './tokens.js';

describe('createTokenCheck', () => {
  let folder: string;
  let tokenizer: Tokenizer;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-tokens-'));
    writeFileSync(join(folder, 'vocab.txt'), '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n##b\n');
    tokenizer = loadTokenizer(folder);
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  const check = (every: number, inWindows = false) =>
    createTokenCheck({ file: 'f', tokenizer, maxLength: 5, inWindows, every });

  it('counts tokens with the special ones, and finds texts that are too long', () => {
    const tokens = check(1);
    tokens.look(1, 'a b', undefined);
    tokens.look(2, 'ab a b', undefined);
    tokens.look(3, 'a', 'b b');
    tokens.look(4, 'a', undefined);
    expect(tokens.statistics()).to.deep.include({ texts: 4, p50: 4, p95: 6, max: 6, truncated: 2, tokens: 10 });
    const [long] = tokens.findings();
    expect(long).to.deep.include({ kind: 'truncated', severity: 'warning', count: 2 });
    expect(long!.lines).to.deep.equal([
      { line: 2, message: '6 tokens, 1 too many' },
      { line: 3, message: '6 tokens, 1 too many' },
    ]);
  });

  it('names characters that the vocabulary lacks, and words whose characters it has', () => {
    const tokens = check(1);
    tokens.look(1, 'a x b', undefined);
    tokens.look(2, 'ba x', 'x');
    expect(tokens.statistics()).to.deep.include({
      tokens: 6,
      unknown: 4,
      unknown_characters: [
        { text: 'x', count: 3 },
        { text: 'ba', count: 1 },
      ],
    });
  });

  it('counts the tokens of words one by one', () => {
    const tokens = check(1, true);
    expect(tokens.lookAtWords(1, ['ab', 'a', 'x'])).to.deep.equal([2, 1, 1]);
    expect(tokens.statistics()).to.deep.include({ max: 6, tokens: 4, unknown: 1, truncated: 1 });
    expect(tokens.findings()[0]).to.include({ kind: 'windowed', severity: 'note' });
  });

  it('looks at a sample where that is asked for, and says so', () => {
    const tokens = check(3);
    for (let line = 1; line <= 7; line++) tokens.look(line, 'a a a a', undefined);
    expect(tokens.statistics()).to.deep.include({ texts: 3, every: 3, truncated: 3 });
    expect(tokens.findings()[0]!.message).to.contain('100 % of all in a sample of 3 texts');
    expect(tokens.findings()[0]!.lines.map(({ line }) => line)).to.deep.equal([1, 4, 7]);
  });

  it('takes all of a file, and of a very large one so much that a check ends', () => {
    expect([0, 1, 48_000_000, 48_000_001, 960_000_000].map(sampleStep)).to.deep.equal([1, 1, 1, 2, 20]);
  });
});
