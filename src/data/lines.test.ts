import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { UserError } from '../errors.js';
import { guessFormat } from './format.js';
import { readLines } from './lines.js';

describe('readLines', () => {
  const folder = mkdtempSync(join(tmpdir(), 't4-lines-'));
  const path = join(folder, 'lines.txt');

  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('keeps empty lines, drops the last one, one \\r and the byte order mark', () => {
    writeFileSync(path, '\uFEFFa\r\r\n\nb\u2028\u0085\u000b\r\n\n');
    expect(readLines(path)).to.deep.equal(['a\r', '', 'b\u2028\u0085\u000b', '']);
    writeFileSync(path, 'a\nb');
    expect(readLines(path)).to.deep.equal(['a', 'b']);
  });

  it('names the lines that are not UTF-8', () => {
    writeFileSync(path, Buffer.from([0x61, 0x0a, 0xc3, 0x0a, 0xa9, 0x0a, 0xed, 0xa0, 0x80]));
    expect(() => readLines(path)).to.throw(UserError, /:2: .*\n.*:3: .*\n.*:4: /u);
  });
});

describe('guessFormat', () => {
  it('goes by the ending', () => {
    const names = ['a.tsv', 'a.TXT', 'a.csv', 'x/a.jsonl', 'a.ndjson', 'a.b.json'];
    expect(names.map(guessFormat)).to.deep.equal(['tsv', 'tsv', 'csv', 'jsonl', 'jsonl', 'jsonl']);
    expect(() => guessFormat('data.csv/train')).to.throw(UserError, 'no format known');
    expect(() => guessFormat('a.xlsx')).to.throw(UserError, 'no format known');
  });
});
