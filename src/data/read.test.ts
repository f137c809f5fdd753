import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { UserError } from '../errors.js';
import { readExamples, type ReadOptions } from './read.js';

describe('readExamples', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-data-'));
  });

  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  const named = { text: 'text', label: 'label' };
  const defaults: ReadOptions = { format: 'tsv', columns: named, requireLabels: true };

  function read(content: string | Uint8Array, options: Partial<ReadOptions> = {}) {
    writeFileSync(join(folder, 'data'), content);
    return readExamples(join(folder, 'data'), { ...defaults, ...options });
  }

  /** What a file is refused with, the folder's own name left out. */
  function refusal(content: string | Uint8Array, options: Partial<ReadOptions> = {}): string {
    return refusalOf(() => read(content, options));
  }

  function refusalOf(action: () => unknown, kind = 'data'): string {
    try {
      action();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      expect(error.kind).to.equal(kind);
      return `${error.message}${error.hint === undefined ? '' : `\n${error.hint}`}`.replaceAll(`${folder}/`, '');
    }
    return expect.fail('nothing was refused');
  }

  describe('TSV', () => {
    it('reads named columns in any order, and collects the labels', () => {
      const { examples, labels } = read('id\tlabel\ttext\n7\tyes\ta b\n8\tno\tc\n');
      expect(labels).to.deep.equal(['no', 'yes']);
      expect(examples).to.deep.equal([
        { text: 'a b', label: 1, line: 2 },
        { text: 'c', label: 0, line: 3 },
      ]);
    });

    it('reads columns by position, where the first line is data', () => {
      const { examples } = read('a\tb\t1\nc\td\t0\n', { columns: { text: 0, pair: 1, label: 2 } });
      expect(examples).to.deep.equal([
        { text: 'a', pair: 'b', label: 1, line: 1 },
        { text: 'c', pair: 'd', label: 0, line: 2 },
      ]);
    });

    it('takes quotes and spaces as text', () => {
      const { examples } = read('text\tlabel\n"a\t0\nb" \t1\n""\t0\n');
      expect(examples.map(({ text }) => text)).to.deep.equal(['"a', 'b" ', '""']);
    });

    it('ends a line at \\n or \\r\\n, and not at U+2028, U+0085, VT or a lone \\r', () => {
      const { examples } = read('\uFEFFtext\tlabel\r\na\u2028b\u0085c\u000bd\re\t0\r\nf\t1');
      expect(examples.map(({ text }) => text)).to.deep.equal(['a\u2028b\u0085c\u000bd\re', 'f']);
      expect(examples.map(({ line }) => line)).to.deep.equal([2, 3]);
    });

    it('reports every bad line at once, by line', () => {
      const content = 'text\tlabel\na\t0\nb\n\t1\nc\tmaybe\nd\t\n\ne\t0\tx\n \t2\n';
      expect(refusal(content, { labels: ['0', '1'] }).split('\n')).to.deep.equal([
        'data:3: got 1 column, expected 2 (text, label)',
        'data:4: got no text in column text, expected some',
        'data:5: got label "maybe", expected one of 0, 1',
        'data:6: got no label, expected one of 0, 1',
        'data:7: got an empty line, expected a row',
        'data:8: got 3 columns, expected 2 (text, label)',
        'data:9: got no text in column text, expected some',
        'data:9: got label "2", expected one of 0, 1 (did you mean 0?)',
      ]);
    });

    it('shows twenty bad lines and counts the rest', () => {
      const lines = refusal(`text\tlabel\n${'x\n'.repeat(25)}`).split('\n');
      expect(lines).to.have.length(21);
      expect(lines[19]).to.match(/^data:21: /u);
      expect(lines[20]).to.equal('... and 5 more');
    });

    it('reports lines that are not UTF-8 together with other bad lines', () => {
      const content = Buffer.concat([
        Buffer.from('text\tlabel\na\t0\n'),
        Buffer.from([0xc4, 0xe3, 0x09, 0x30, 0x0a]),
        Buffer.from('b\n'),
      ]);
      expect(refusal(content)).to.match(
        /^data:3: got bytes that are not UTF-8, expected UTF-8 text\ndata:4: got 1 column, .*\nsave the file as UTF-8/u,
      );
    });

    it('names the columns found, and the nearest, when one is missing', () => {
      expect(refusal('text_a\tlabels\na\t0\n', { columns: { text: 'text_a', label: 'label' } })).to.match(
        /^data:1: the header has text_a, labels, expected label \(did you mean labels\?\)\nset data\.columns/u,
      );
      expect(refusal('text\tlabel\ttext\na\t0\tb\n')).to.match(
        /^data:1: the header has text, label, text, expected text once$/u,
      );
      expect(refusal('a\tb\n', { columns: { text: 0, label: 2 } })).to.equal(
        'data:1: got 2 columns, expected at least 3 (column 2 is wanted)',
      );
      expect(refusal('a\tb\nc\n', { columns: { text: 0, label: 1 } })).to.equal(
        'data:2: got 1 column, expected 2 as in line 1',
      );
    });

    it('reads a file without labels where they are not required', () => {
      const columns = { text: 0, pair: 1, label: 2 };
      const options = { labels: ['0', '1'], requireLabels: false };
      expect(read('a\tb\n', { ...options, columns }).examples).to.deep.equal([{ text: 'a', pair: 'b', line: 1 }]);
      expect(read('index\ttext\n0\ta\n', options).examples).to.deep.equal([{ text: 'a', line: 2 }]);
      expect(read('text\tlabel\na\t\nb\t1\n', options).examples).to.deep.equal([
        { text: 'a', line: 2 },
        { text: 'b', label: 1, line: 3 },
      ]);
      expect(refusal('text\tlabel\na\t2\n', options)).to.match(/^data:2: got label "2", expected one of 0, 1/u);
      expect(read('a\n', { columns: { text: 0 }, requireLabels: false }).labels).to.deep.equal([]);
    });

    it('refuses columns that cannot be meant', () => {
      const mixed = { text: 'text', label: 1 };
      expect(refusalOf(() => read('a\t0\n', { columns: mixed }), 'usage')).to.match(/names only or positions only$/u);
      expect(refusalOf(() => read('a\t0\n', { columns: { text: 0 } }), 'usage')).to.match(
        /no label column\nset data\.columns\.label$/u,
      );
    });
  });

  describe('CSV', () => {
    const csv = { format: 'csv' } as const;

    it('reads quoted fields, with commas, doubled quotes and line breaks inside them', () => {
      const { examples } = read('\uFEFFtext,label\r\n"a, ""b""\r\n\r\nc",0\r\nd,1\r\n"e\u2028f",1\r\n', csv);
      expect(examples).to.deep.equal([
        { text: 'a, "b"\r\n\r\nc', label: 0, line: 2 },
        { text: 'd', label: 1, line: 5 },
        { text: 'e\u2028f', label: 1, line: 6 },
      ]);
    });

    it('keeps line numbers right after fields of several lines', () => {
      expect(refusal('text,label\n"a\nb",0\n\nc\n"é\nf",0,1\n"",1\n', csv).split('\n')).to.deep.equal([
        'data:4: got an empty line, expected a row',
        'data:5: got 1 column, expected 2 (text, label)',
        'data:6: got 3 columns, expected 2 (text, label)',
        'data:8: got no text in column text, expected some',
      ]);
    });

    it('says where a quote is opened that is never closed, along with what was wrong before', () => {
      expect(refusal('text,label\nx\n"a\nb",0\n"c,0\nd,1\n', csv)).to.equal(
        'data:2: got 1 column, expected 2 (text, label)\n' +
          'data:5: got a row whose " is never closed, expected a closing "; nothing after it was read',
      );
    });

    it('refuses a quote in an unquoted field, and text after a closing quote', () => {
      expect(refusal('text,label\na,0\nb"c,1\nd,0\n', csv)).to.match(/^data:3: got a " inside a field/u);
      expect(refusal('text,label\na,0\n"b"c,1\nd,0\n', csv)).to.match(/^data:3: got text after a closing "/u);
    });

    it('reports lines that are not UTF-8', () => {
      expect(refusal(Buffer.from([0x61, 0x0a, 0xff, 0x0a]), csv)).to.match(/^data:2: got bytes that are not UTF-8/u);
    });
  });

  describe('JSONL', () => {
    const jsonl = { format: 'jsonl' } as const;

    it('reads one object a line, labels of any plain type', () => {
      const content =
        '{"text": "a\\nb\\u2028", "label": true, "x": []}\n{"label": 2, "text": "c"}\n{"label":"0","text":"d"}';
      const { examples, labels } = read(content, jsonl);
      expect(labels).to.deep.equal(['0', '2', 'true']);
      expect(examples).to.deep.equal([
        { text: 'a\nb\u2028', label: 2, line: 1 },
        { text: 'c', label: 1, line: 2 },
        { text: 'd', label: 0, line: 3 },
      ]);
    });

    it('reports every bad line at once', () => {
      const content =
        '{"text": "a", "label": 0}\n{"text": "b"\n[1]\n\n{"label": 0}\n{"text": 5, "label": 0}\n{"text": "c", "label": [0]}\n{"text": "d", "label": null}\n';
      expect(refusal(content, { ...jsonl, labels: ['0', '1'] }).split('\n')).to.deep.equal([
        'data:2: got "{\\"text\\": \\"b\\"", expected a JSON object in one line',
        'data:3: got "[1]", expected a JSON object in one line',
        'data:4: got an empty line, expected a row',
        'data:5: got no text in column text, expected some',
        'data:6: got text 5, expected a string',
        'data:7: got label [0], expected a string, a number or a boolean',
        'data:8: got no label, expected one of 0, 1',
      ]);
    });

    it('names the keys found when no object has a wanted one', () => {
      expect(
        refusal('{"sentence": "a", "labels": 0}\n', { ...jsonl, columns: { text: 'sentence', label: 'label' } }),
      ).to.match(/^data: the objects have sentence, labels, expected label \(did you mean labels\?\)/u);
      expect(refusal('{"text": "a"}\n', { ...jsonl, columns: { text: 'constructor', label: 'text' } })).to.match(
        /^data: the objects have text, expected constructor/u,
      );
    });

    it('refuses positions', () => {
      const action = () => read('{}', { ...jsonl, columns: { text: 0, label: 1 } });
      expect(refusalOf(action, 'usage')).to.match(/expected the keys/u);
    });
  });

  describe('files', () => {
    it('refuses an empty file and one with a header only', () => {
      expect(refusal('')).to.equal('data: the file is empty');
      expect(refusal('\uFEFF')).to.equal('data: the file is empty');
      expect(refusal('\n')).to.equal('data:1: got an empty line, expected a row');
      expect(refusal('text\tlabel\n')).to.equal('data: there is only a header (text, label), expected rows after it');
      expect(refusal('text,label\r\n', { format: 'csv' })).to.match(/^data: there is only a header/u);
    });

    it('names what there is when a file is missing', () => {
      writeFileSync(join(folder, 'train.tsv'), '');
      const at = (...names: string[]) => refusalOf(() => readExamples(join(folder, ...names), defaults));
      expect(at('trian.tsv')).to.equal('trian.tsv: no such file\ndid you mean train.tsv?');
      expect(at('other')).to.match(/^other: no such file\n.* has train\.tsv$/u);
      expect(at('none', 'train.tsv')).to.match(
        /^none\/train\.tsv: no such file, and no folder .*none\nPaths in a task are relative to --data, to T4_DATA, /u,
      );
    });

    it('refuses a folder', () => {
      mkdirSync(join(folder, 'sub'));
      expect(refusalOf(() => readExamples(join(folder, 'sub'), defaults))).to.match(
        /^sub: is a folder, expected a file\n.* is empty$/u,
      );
    });
  });
});
