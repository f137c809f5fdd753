import { expect } from 'chai';
import { classificationIntervals } from './bootstrap.js';
import { classificationMetrics } from './classification.js';
import { compareAnswers } from './comparison.js';
import { entityMetrics } from './entities.js';
import { multiLabelMetrics } from './multi-label.js';
import { classificationReport, comparisonReport, entityReport, multiLabelReport } from './report.js';

const interval = { low: 0.25, high: 0.75 };

describe('reports', () => {
  it('of classes end in the intervals where they are given', () => {
    const metrics = classificationMetrics([0, 1, 1, 0], [0, 1, 0, 0], 2);
    const plain = classificationReport(metrics, ['a', 'b']);
    const lines = classificationReport(metrics, ['a', 'b'], {
      ...classificationIntervals(metrics.confusion),
      accuracy: interval,
      mcc: { low: -0.125, high: 1 },
    }).split('\n');
    expect(lines.slice(0, -5).join('\n')).to.equal(plain);
    expect(lines.at(-4)).to.equal('95 % bootstrap intervals:');
    expect(lines.at(-3)).to.match(/^accuracy +0\.7500 +0\.2500 to 0\.7500$/);
    expect(lines.at(-2)).to.match(/^macro F1 +0\.7333 +\d\.\d{4} to \d\.\d{4}$/);
    expect(lines.at(-1)).to.match(/^Matthews correlation +0\.5774 +-0\.1250 to 1\.0000$/);
  });

  it('of entities and of several labels end in the interval of the micro F1', () => {
    const entities = entityMetrics([[{ type: 'PER', start: 0, end: 1 }]], [[]]);
    const expected = '\n\n95 % bootstrap intervals:\nmicro F1  0.0000  0.2500 to 0.7500';
    expect(entityReport(entities, interval)).to.equal(entityReport(entities) + expected);
    const labels = multiLabelMetrics([1, 0], [0, 1], 2);
    expect(multiLabelReport(labels, ['a', 'b'], interval)).to.equal(multiLabelReport(labels, ['a', 'b']) + expected);
  });

  it('of several labels say how many examples are all right', () => {
    const lines = multiLabelReport(multiLabelMetrics([1, 0, 1, 1], [1, 0, 0, 1], 2), ['a', 'b']).split('\n');
    expect(lines.slice(-2)).to.deep.equal(['all labels right: 0.5000 of 2 examples', 'Hamming loss: 0.2500']);
  });
});

describe('the report of a comparison', () => {
  const gold = Array.from({ length: 1200 }, () => ['yes']);
  /** Right but for the examples from `from` to `to`. */
  const answers = (from: number, to: number): string[][] =>
    gold.map((_, i) => (i >= from && i < to ? ['no'] : ['yes']));
  const report = (first: string[][], second: string[][]): string[] =>
    comparisonReport(compareAnswers('label', gold, first, second), ['A', 'B']).split('\n');

  it('says which is right where, and whether chance explains it', () => {
    expect(report(answers(0, 60), answers(50, 120))).to.deep.equal([
      'accuracy on the same 1,200 examples: A 0.9500, B 0.9417',
      "only A is right on 60, only B on 50: p = 0.3908 (McNemar's test, chi-square), which may be chance",
    ]);
    expect(report(answers(0, 0), answers(0, 9))[1]).to.equal(
      "only A is right on 9, only B on 0: p = 0.0039 (McNemar's test, exact binomial), more than chance explains",
    );
    expect(report(answers(0, 0), answers(0, 90))[1]).to.include(': p < 0.0001 (');
  });

  it('says so where the models are right on the same examples', () => {
    expect(report(answers(0, 10), answers(0, 10))[1]).to.equal('both are right on the same ones');
  });

  it('has the micro F1 of entities and of labels', () => {
    const truth = [['0-2 PER'], [], ['1-2 LOC', '4-5 PER'], ['0-1 LOC']];
    const first = [['0-2 PER'], [], ['1-2 LOC'], ['0-1 LOC']];
    const second = [['0-2 PER'], [], [], []];
    const comparison = compareAnswers('entities', truth, first, second);
    expect(comparison).to.include({ first: 0.75, second: 0.5, onlyFirst: 1, onlySecond: 0 });
    const lines = comparisonReport(comparison, ['A', 'B']).split('\n');
    expect(lines[0]).to.equal('all entities right on the same 4 sentences: A 0.7500, B 0.5000');
    expect(lines[2]).to.match(
      /^micro F1: A 0\.8571, B 0\.4000; difference 0\.4571, 95 % bootstrap interval 0\.0000 to \d\.\d{4}$/,
    );
    const labels = comparisonReport(compareAnswers('labels', truth, first, second), ['A', 'B']);
    expect(labels).to.match(/^all labels right on the same 4 examples: /);
  });
});
