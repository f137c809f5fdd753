import { expect } from 'chai';
import { classificationIntervals, microF1GainInterval, microF1Interval, type Interval } from './bootstrap.js';
import { classificationMetrics } from './classification.js';

const confusion = [
  [420, 60, 20],
  [35, 240, 25],
  [30, 10, 160],
];

const sentences = Array.from({ length: 400 }, (_, i) => ({
  correct: i % 3,
  predicted: (i % 3) + (i % 5 === 0 ? 1 : 0),
  support: 2 + (i % 2),
}));

const width = ({ low, high }: Interval): number => high - low;

describe('bootstrap intervals', () => {
  it('of the accuracy are those of the binomial distribution', () => {
    const { accuracy } = classificationIntervals(confusion);
    // 820 of 1000 are right: 1.96 * sqrt(0.82 * 0.18 / 1000) = 0.0238
    expect(accuracy.low).to.be.closeTo(0.82 - 0.0238, 0.004);
    expect(accuracy.high).to.be.closeTo(0.82 + 0.0238, 0.004);
  });

  it('hold the metric itself, and are narrower with more examples', () => {
    const labels = confusion.flatMap((row, label) => row.flatMap((count) => new Array<number>(count).fill(label)));
    const predictions = confusion.flatMap((row) => row.flatMap((count, id) => new Array<number>(count).fill(id)));
    const { accuracy, macro, mcc } = classificationMetrics(labels, predictions, 3);
    const intervals = classificationIntervals(confusion);
    const wide = classificationIntervals(confusion.map((row) => row.map((count) => count / 5)));
    const rows = [
      ['accuracy', accuracy],
      ['macroF1', macro.f1],
      ['mcc', mcc],
    ] as const;
    for (const [name, value] of rows) {
      expect(intervals[name].low).to.be.below(value);
      expect(intervals[name].high).to.be.above(value);
      expect(width(wide[name]) / width(intervals[name])).to.be.closeTo(Math.sqrt(5), 0.4);
    }
  });

  it('are the same each time, and others with another seed', () => {
    expect(classificationIntervals(confusion)).to.deep.equal(classificationIntervals(confusion));
    expect(classificationIntervals(confusion, { seed: 1 })).not.to.deep.equal(classificationIntervals(confusion));
    expect(microF1Interval(sentences)).to.deep.equal(microF1Interval(sentences));
  });

  it('draw as many resamples as they are told', () => {
    const { low, high } = classificationIntervals(confusion, { resamples: 1 }).accuracy;
    expect(low).to.equal(high);
  });

  it('are a point where all examples are alike', () => {
    expect(
      classificationIntervals([
        [0, 0],
        [0, 7],
      ]),
    ).to.deep.equal({
      accuracy: { low: 1, high: 1 },
      macroF1: { low: 0.5, high: 0.5 },
      mcc: { low: 0, high: 0 },
    });
    expect(microF1Interval([{ correct: 1, predicted: 2, support: 2 }])).to.deep.equal({ low: 0.5, high: 0.5 });
  });

  it('are zero without examples', () => {
    const none = { low: 0, high: 0 };
    expect(
      classificationIntervals([
        [0, 0],
        [0, 0],
      ]),
    ).to.deep.equal({ accuracy: none, macroF1: none, mcc: none });
    expect(microF1Interval([])).to.deep.equal(none);
    expect(microF1GainInterval([], [])).to.deep.equal(none);
  });

  it('of a gain are drawn of both models together', () => {
    expect(microF1GainInterval(sentences, sentences)).to.deep.equal({ low: 0, high: 0 });
    const better = sentences.map((one) => ({ ...one, correct: Math.min(one.correct + 1, one.predicted) }));
    const gain = microF1GainInterval(better, sentences);
    expect(gain.low).to.be.above(0);
    expect(width(gain)).to.be.below(width(microF1Interval(sentences)));
    const loss = microF1GainInterval(sentences, better);
    expect([loss.low, loss.high]).to.deep.equal([-gain.high, -gain.low]);
  });

  it('refuse models of different sentences', () => {
    expect(() => microF1GainInterval(sentences, [])).to.throw('400 sentences, but 0 of the other model');
  });
});
