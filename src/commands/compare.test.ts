import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { UserError } from '../errors.js';
import { comparePredictions, comparisonJson, readOtherPredictions, readPredictions } from './compare.js';

const example = { line: 2, text: 'a fine film', gold: 'pos', label: 'pos', probability: 0.75, probabilities: {} };
const sentence = {
  line: 1,
  words: ['Ada', 'met', 'Bob'],
  gold: ['B-PER', 'O', 'B-PER'],
  predicted: ['B-PER', 'O', 'O'],
  gold_entities: [
    { start: 0, end: 1, label: 'PER', words: ['Ada'] },
    { start: 2, end: 3, label: 'PER', words: ['Bob'] },
  ],
  entities: [{ start: 0, end: 1, label: 'PER', words: ['Ada'] }],
};

describe('predictions to compare', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-compare-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  const write = (run: string, rows: readonly unknown[]): string => {
    mkdirSync(join(folder, run), { recursive: true });
    const lines = rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row)));
    writeFileSync(join(folder, run, 'predictions.jsonl'), lines.map((line) => `${line}\n`).join(''));
    return join(folder, run);
  };
  const read = (run: string, rows: readonly unknown[]) => {
    write(run, rows);
    return readPredictions(run, join(folder, run, 'predictions.jsonl'));
  };
  const compare = (first: readonly unknown[], second: readonly unknown[]) =>
    comparePredictions(read('a', first), read('b', second));
  const failure = (act: () => unknown): UserError => {
    try {
      act();
    } catch (error) {
      if (error instanceof UserError) return error;
      throw error;
    }
    throw new Error('nothing was thrown');
  };
  const refusal = (first: readonly unknown[], second: readonly unknown[]): string => {
    const { kind, message } = failure(() => compare(first, second));
    expect(kind).to.equal('data');
    return message.replaceAll(`${folder}/`, '');
  };

  it('are found in a run, and taken as a file', () => {
    const run = write('a', [example]);
    for (const source of [run, join(run, 'predictions.jsonl')]) {
      const { name, path, predictions } = readOtherPredictions(source, folder);
      expect([name, path]).to.deep.equal([source, join(run, 'predictions.jsonl')]);
      expect(predictions).to.have.length(1);
    }
  });

  it('that are not there are a wrong command line', () => {
    const nowhere = failure(() => readOtherPredictions(join(folder, 'x'), folder));
    expect(nowhere).to.include({ kind: 'usage', message: `--compare: ${join(folder, 'x')} does not exist` });
    const untested = failure(() => readOtherPredictions(folder, folder));
    expect(untested).to.include({ kind: 'usage', message: `--compare: ${folder} has no predictions.jsonl` });
    expect(untested.hint).to.include(`t4 test --checkpoint ${folder}`);
  });

  it('are not those that the test would overwrite', () => {
    const run = write('a', [example]);
    symlinkSync(run, join(folder, 'link'));
    for (const source of [run, join(folder, 'link'), join(run, 'predictions.jsonl')]) {
      const { kind, message, hint } = failure(() => readOtherPredictions(source, run));
      expect([kind, hint]).to.deep.equal(['usage', 'Name another --output.']);
      expect(message).to.include('is what this test would overwrite');
    }
  });

  it('name every line that is none', () => {
    const { kind, message } = failure(() => read('a', [example, 'pos', '{"text": "x"}', { ...example, gold: null }]));
    expect(kind).to.equal('data');
    const lines = message.replaceAll(`${folder}/`, '').split('\n');
    expect(lines).to.have.length(3);
    expect(lines[0]).to.equal(
      'a/predictions.jsonl:2: got "pos", expected an example with its gold and the predicted label, labels or entities',
    );
    expect(lines[1]).to.match(/^a\/predictions\.jsonl:3: /);
    expect(lines[2]).to.match(/^a\/predictions\.jsonl:4: /);
  });

  it('of texts and pairs are counted by their labels', () => {
    const rows = [example, { ...example, pair: 'and a play' }, { ...example, text: 'dull', gold: 'neg', label: 'neg' }];
    const comparison = compare(rows, [rows[0], { ...rows[1], label: 'neg' }, { ...rows[2], label: 'pos' }]);
    expect(comparison).to.include({ kind: 'label', examples: 3, first: 1, second: 1 / 3 });
    expect(comparison).to.include({ onlyFirst: 2, onlySecond: 0, microF1: undefined });
    expect(comparison.test).to.deep.equal({ method: 'exact binomial', statistic: 0, p: 0.5 });
    expect(comparisonJson(comparison, 'runs/b')).to.deep.equal({
      with: 'runs/b',
      examples: 3,
      right: { this: 1, other: 1 / 3 },
      right_alone: { this: 2, other: 0 },
      mcnemar: { method: 'exact binomial', statistic: 0, p: 0.5 },
    });
  });

  it('of several labels and of entities do not depend on their order', () => {
    const several = { text: 'x', gold: ['b', 'a'], labels: ['a', 'b'] };
    expect(compare([several], [{ ...several, gold: ['a', 'b'], labels: ['c'] }])).to.include({ first: 1, second: 0 });
    const whole = { ...sentence, entities: [...sentence.gold_entities].reverse() };
    const comparison = compare([whole], [sentence]);
    expect(comparison).to.include({ kind: 'entities', first: 1, second: 0, onlyFirst: 1 });
    expect(comparison.microF1).to.include({ first: 1, second: 2 / 3 });
    expect(comparisonJson(comparison, 'b').micro_f1).to.deep.include({ this: 1, other: 2 / 3 });
  });

  it('an entity with another border or another type is wrong', () => {
    const [first, second] = sentence.gold_entities;
    for (const changed of [
      { ...first, label: 'LOC' },
      { ...first, end: 2 },
    ]) {
      const { microF1 } = compare([{ ...sentence, entities: [changed, second] }], [sentence]);
      expect(microF1?.first).to.equal(0.5);
    }
  });

  it('of other examples are refused, with the first difference', () => {
    const places = '--compare: a/predictions.jsonl:2 and b/predictions.jsonl:2: ';
    const differs = (a: object, b: object): string => {
      const message = refusal([example, a, a], [example, b, a]);
      expect(message.slice(0, places.length)).to.equal(places);
      return message.slice(places.length);
    };
    expect(differs(example, { ...example, text: 'a fine play' })).to.equal('text "a fine film" and "a fine play"');
    const long = 'x'.repeat(100);
    expect(differs({ ...example, text: `${long}1` }, { ...example, text: `${long}2` })).to.equal(
      'text "...xxxxxxxxxx1" and "...xxxxxxxxxx2"',
    );
    const pair = { ...example, pair: 'p' };
    expect(differs(pair, { ...example, pair: 'q' })).to.equal('pair "p" and "q"');
    expect(differs(pair, example)).to.equal('one is a pair of texts, the other a single text');
    expect(differs(example, { ...example, gold: 'neg' })).to.equal('gold "pos" and "neg"');
    expect(differs(example, sentence)).to.equal('one has label, the other entities');
    const words = { ...sentence, words: ['Ada', 'meets', 'Bob'] };
    expect(differs(sentence, words)).to.equal('word 2 is "met" and "meets"');
    expect(differs(sentence, { ...sentence, words: ['Ada', 'met'] })).to.equal('a sentence of 3 words and one of 2');
    expect(differs(sentence, { ...sentence, gold_entities: sentence.entities })).to.equal(
      'gold ["2-3 PER"] in the first alone, [] in the second alone',
    );
  });

  it('of more examples are refused', () => {
    expect(refusal([example, example], [example])).to.equal(
      '--compare: a/predictions.jsonl has 2 examples, b/predictions.jsonl has 1',
    );
  });
});
