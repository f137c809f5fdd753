import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { UserError } from '../errors.js';
import { conllSentences, parseConll, readConll, type ConllOptions } from './conll.js';
import type { Problem } from './problems.js';

const read = (content: string | Uint8Array, options: ConllOptions = {}) =>
  parseConll(typeof content === 'string' ? Buffer.from(content) : content, 'a.conll', options);

function refusal(content: string | Uint8Array, options: ConllOptions = {}, kind = 'data'): string {
  try {
    read(content, options);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    expect(error.kind).to.equal(kind);
    return `${error.message}${error.hint === undefined ? '' : `\n${error.hint}`}`;
  }
  return expect.fail('nothing was refused');
}

describe('readConll', () => {
  it('reads characters with a blank before their tag', () => {
    const { sentences, labels } = read('我 O\n在 O\n北 B-LOC\n京 I-LOC\n\n好 O\n');
    expect(labels).to.deep.equal(['B-LOC', 'I-LOC', 'O']);
    expect(sentences).to.deep.equal([
      { words: ['我', '在', '北', '京'], labels: [2, 2, 0, 1], line: 1 },
      { words: ['好'], labels: [2], line: 6 },
    ]);
  });

  it('reads the first and the last column of several', () => {
    const { sentences } = read('Ada NNP B-NP B-PER\nsings VBZ B-VP O\n', { labels: ['O', 'B-PER'] });
    expect(sentences).to.deep.equal([{ words: ['Ada', 'sings'], labels: [1, 0], line: 1 }]);
  });

  it('reads the columns it is told to, apart by tabs, in which a word may have blanks', () => {
    const { sentences, labels } = read('1\tB-X\tNew York\tx\n2\tO\t \tx\n', { wordColumn: 2, labelColumn: 1 });
    expect(labels).to.deep.equal(['B-X', 'O']);
    expect(sentences[0]!.words).to.deep.equal(['New York', ' ']);
  });

  it('takes several blanks for one, and those at the end of a line for none', () => {
    expect(read('a   O  \nb O\n').sentences).to.deep.equal([{ words: ['a', 'b'], labels: [0, 0], line: 1 }]);
  });

  it('leaves out -DOCSTART- lines, which end a sentence', () => {
    const { sentences } = read('-DOCSTART- -X- -X- O\n\na x x O\n-DOCSTART- O\nb x x O\n \t\n\n\nc x x O');
    expect(sentences.map(({ words, line }) => [words.join(), line])).to.deep.equal([
      ['a', 3],
      ['b', 5],
      ['c', 9],
    ]);
  });

  it('drops a byte order mark and reads CRLF', () => {
    const { sentences, labels } = read('\uFEFFa O\r\nb B-X\r\n\r\nc O\r\n');
    expect(labels).to.deep.equal(['B-X', 'O']);
    expect(sentences.map(({ words }) => words)).to.deep.equal([['a', 'b'], ['c']]);
  });

  it('breaks no line at U+2028 and takes U+3000 for a word', () => {
    const words = ['\u2028', '\u3000', '\u0085', '\v'];
    expect(read(words.map((word) => `${word} O\n`).join('')).sentences).to.deep.equal([
      { words, labels: [0, 0, 0, 0], line: 1 },
    ]);
  });

  it('names every bad line at once', () => {
    expect(
      refusal('a\nb O\nc O O\n O\nd I-PERR\n\ne O', { labels: ['O', 'B-PER', 'I-PER'] }).split('\n'),
    ).to.deep.equal([
      'a.conll:1: got 1 column, expected 2 as in line 2',
      'a.conll:3: got 3 columns, expected 2 as in line 2',
      'a.conll:4: got no word in " O", expected both',
      'a.conll:5: got label "I-PERR", expected one of O, B-PER, I-PER (did you mean I-PER?)',
    ]);
    expect(refusal('a\tO\nb\t \n')).to.equal('a.conll:2: got no label in "b\\t ", expected both');
  });

  it('shows twenty bad lines and counts the others', () => {
    const lines = refusal(`a O\n${'b\n'.repeat(31)}`).split('\n');
    expect(lines).to.have.length(21);
    expect(lines.at(-1)).to.equal('... and 11 more');
  });

  it('refuses labels that are no tags, unless they are known', () => {
    expect(refusal('a O\nb 3\nc B_X\n')).to.equal(
      'a.conll:2: got label "3", expected O, or a tag such as B-PER or I-PER\n' +
        'a.conll:3: got label "B_X", expected O, or a tag such as B-PER or I-PER',
    );
    expect(read('a NOUN\nb VERB\n', { labels: ['VERB', 'NOUN'] }).sentences[0]!.labels).to.deep.equal([1, 0]);
  });

  it('names lines that are not UTF-8 along with the others', () => {
    const content = Buffer.concat([Buffer.from('a O\n'), Buffer.of(0xb1, 0xb1, 0x20, 0x4f, 0x0a), Buffer.from('c\n')]);
    const message = refusal(content);
    expect(message).to.match(/^a\.conll:2: got bytes that are not UTF-8/);
    expect(message).to.contain('a.conll:3: got 1 column, expected 2 as in line 1\nsave the file as UTF-8');
    expect(refusal(Buffer.of(0xb1, 0x20, 0x4f, 0x0a))).to.match(/^a\.conll:1: got bytes that are not UTF-8/);
  });

  it('says that a file is unlabelled or has no words', () => {
    expect(refusal('\na\nb\n\nc\n')).to.match(
      /^a\.conll:2: got no label in any line, expected words with their labels\n/,
    );
    expect(refusal('\n\n-DOCSTART- O\n')).to.match(/^a\.conll: got empty lines only/);
    expect(refusal('')).to.equal('a.conll: the file is empty');
  });

  it('refuses columns that are not there, or are one', () => {
    expect(refusal('a O\n', { labelColumn: 3 })).to.equal(
      'a.conll:1: got 2 columns, expected at least 4 (column 3 is wanted)',
    );
    expect(refusal('a O\n', { wordColumn: 1 }, 'usage')).to.contain('column 1 cannot be the word and its label');
  });

  it('reads files, and says which is missing', () => {
    const folder = mkdtempSync(join(tmpdir(), 't4-conll-'));
    try {
      writeFileSync(join(folder, 'dev.conll'), 'a O\n');
      expect(readConll(join(folder, 'dev.conll'), {}).sentences).to.have.length(1);
      expect(() => readConll(join(folder, 'def.conll'), {})).to.throw(UserError, 'no such file');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('conllSentences', () => {
  const found = (content: string | Uint8Array, options: ConllOptions = {}) => {
    const problems: Problem[] = [];
    const { sentences, labels } = conllSentences(Buffer.from(content), 'a.conll', options, problems);
    return { words: sentences.map(({ words }) => words.join('')), labels, lines: problems.map(({ line }) => line) };
  };

  it('leaves out the sentences of bad lines, and has all others', () => {
    const content = 'a O\n\nb O\nc\n\nd O\n\ne O\nf PER-B\n\ng B-X\nh x O\n\ni O\n';
    expect(found(content)).to.deep.equal({ words: ['a', 'd', 'i'], labels: ['B-X', 'O'], lines: [4, 12, 9] });
  });

  it('leaves out the sentence of a line that is not UTF-8, wherever in it that is', () => {
    const bytes = Buffer.concat([Buffer.from('a O\n\n'), Buffer.from([0xff]), Buffer.from(' O\nb O\n\nc O\nd O\n')]);
    expect(found(bytes)).to.deep.equal({ words: ['a', 'cd'], labels: ['O'], lines: [3] });
    expect(found(Buffer.from([0xff, 0x0a]))).to.deep.equal({ words: [], labels: [], lines: [1] });
  });

  it('reads words alone where labels are not needed', () => {
    const options = { requireLabels: false, labels: ['O', 'B-X'] };
    const { sentences } = parseConll(Buffer.from('New\nYork\n\nb\n'), 'a.conll', options);
    expect(sentences).to.deep.equal([
      { words: ['New', 'York'], labels: [], line: 1 },
      { words: ['b'], labels: [], line: 4 },
    ]);
    expect(refusal('New\nYork\n', { labels: ['O', 'B-X'] })).to.contain('a.conll:1: got no label in any line');
    expect(refusal('\n', options)).to.contain('got empty lines only');
    expect(refusal('New\n', { ...options, wordColumn: 1 })).to.contain('got no label in any line');
    expect(parseConll(Buffer.from('New B-X\n'), 'a.conll', options).sentences[0]!.labels).to.deep.equal([1]);
  });
});
