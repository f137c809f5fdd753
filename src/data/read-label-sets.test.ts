import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { UserError } from '../errors.js';
import { readLabelSets, type LabelSetOptions } from './read-label-sets.js';

describe('readLabelSets', () => {
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-label-sets-'));
  });

  after(() => {
    rmSync(folder, { recursive: true });
  });

  const columns = { text: 'text', label: 'label' };
  const defaults: LabelSetOptions = { format: 'tsv', columns, requireLabels: true, separator: ',' };

  function read(content: string, options: Partial<LabelSetOptions> = {}) {
    const path = join(folder, 'data');
    writeFileSync(path, content);
    return readLabelSets(path, { ...defaults, ...options });
  }

  function refusal(content: string, options: Partial<LabelSetOptions> = {}): string[] {
    try {
      read(content, options);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      expect(error.kind).to.equal('data');
      return error.message.replaceAll(`${folder}/`, '').split('\n');
    }
    return expect.fail('nothing was refused');
  }

  it('reads the labels of a cell in the order of their ids; an empty one has none', () => {
    const { examples, labels } = read('text\tlabel\na b\tred, blue\nc\t\nd\tgreen\ne\tblue,green,red\n');
    expect(labels).to.deep.equal(['blue', 'green', 'red']);
    expect(examples).to.deep.equal([
      { text: 'a b', line: 2, labels: [0, 2] },
      { text: 'c', line: 3, labels: [] },
      { text: 'd', line: 4, labels: [1] },
      { text: 'e', line: 5, labels: [0, 1, 2] },
    ]);
  });

  it('splits at the separator that is given', () => {
    expect(read('text\tlabel\na\tx | y,z\n', { separator: '|' }).labels).to.deep.equal(['x', 'y,z']);
    expect(read('text,label\na,"x, y"\n', { format: 'csv' }).labels).to.deep.equal(['x', 'y']);
  });

  it('takes lists in JSONL, where nothing is split', () => {
    const lines = [
      { text: 'a', label: ['x,y', 3] },
      { text: 'b', label: [] },
      { label: [true], text: 'c' },
    ];
    const { examples, labels } = read(lines.map((line) => `${JSON.stringify(line)}\n`).join(''), { format: 'jsonl' });
    expect(labels).to.deep.equal(['3', 'true', 'x,y']);
    expect(examples.map((example) => example.labels)).to.deep.equal([[0, 2], [], [1]]);
    expect(
      refusal('{"text":"a","label":"x"}\n{"text":"b"}\n{"text":"c","label":[["x"]]}\n', { format: 'jsonl' }),
    ).to.deep.equal([
      'data:1: got label "x", expected a list of labels',
      'data:2: got no labels, expected a list of them ([] for none)',
      'data:3: got label [["x"]], expected a list of labels',
    ]);
  });

  it('leaves labels open where the column is missing and none are needed', () => {
    const open = { requireLabels: false, labels: ['x', 'y'] };
    expect(read('text\na\n', open).examples).to.deep.equal([{ text: 'a', line: 2 }]);
    expect(read('{"text":"a"}\n', { ...open, format: 'jsonl' }).examples).to.deep.equal([{ text: 'a', line: 1 }]);
  });

  it('names every bad line', () => {
    const content = 'text\tlabel\na\tx,x\nb\tx,,y\n\ty\nc\tx,zz,y,q\nd\tx\ty\n';
    expect(refusal(content, { labels: ['x', 'y', 'z'] })).to.deep.equal([
      'data:2: got label "x" twice, expected each once',
      'data:3: got labels "x,,y", expected none of them to be empty',
      'data:4: got no text in column text, expected some',
      'data:5: got label "zz", expected some of x, y, z (did you mean z?)',
      'data:5: got label "q", expected some of x, y, z (did you mean x?)',
      'data:6: got 3 columns, expected 2 (text, label)',
    ]);
  });
});
