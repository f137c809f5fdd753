import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { expectMultiLabel, multiLabelSchema } from '../../test/support/scikit-learn.js';
import { packageRoot } from '../package-root.js';
import { chooseThreshold, exampleCounts, multiLabelMetrics } from './multi-label.js';

const matrixSchema = z.array(z.array(z.int()));
const caseSchema = multiLabelSchema.extend({
  title: z.string(),
  names: z.array(z.string()),
  labels: matrixSchema,
  predictions: matrixSchema,
});

// Made by test/fixtures/metrics/make.py.
const fixture = join(packageRoot(), 'test/fixtures/metrics/multi-label.json');
const cases = z.array(caseSchema).parse(JSON.parse(readFileSync(fixture, 'utf8')));

describe('multi-label metrics', () => {
  for (const { title, names, labels, predictions, ...expected } of cases) {
    it(`equal scikit-learn's, and so does the report: ${title}`, () => {
      expectMultiLabel(multiLabelMetrics(labels.flat(), predictions.flat(), names.length), names, expected);
    });
  }

  it('of one label', () => {
    const metrics = multiLabelMetrics([1, 1, 0, 0], [1, 0, 0, 1], 1);
    expect(metrics.labels).to.deep.equal([{ precision: 0.5, recall: 0.5, f1: 0.5, support: 2 }]);
    expect(metrics).to.include({ subsetAccuracy: 0.5, hammingLoss: 0.5 });
    expect(metrics.samples.f1).to.equal(0.25);
  });

  it('are all zero without examples', () => {
    const metrics = multiLabelMetrics([], [], 2);
    expect(metrics).to.include({ examples: 0, subsetAccuracy: 0, hammingLoss: 0 });
    expect(metrics.samples).to.deep.equal({ precision: 0, recall: 0, f1: 0 });
    expect(metrics.labels).to.have.length(2);
  });

  it('count what each example has', () => {
    expect(exampleCounts([1, 0, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0], 3)).to.deep.equal([
      { correct: 2, predicted: 3, support: 2 },
      { correct: 0, predicted: 0, support: 0 },
    ]);
  });

  it('refuse what is no matrix of 0 and 1', () => {
    expect(() => multiLabelMetrics([1, 0], [1], 2)).to.throw('2 labels and 1 predictions');
    expect(() => multiLabelMetrics([1, 0, 1], [1, 0, 1], 2)).to.throw('a multiple of 2');
    expect(() => multiLabelMetrics([1, 0], [0.9, 0], 2)).to.throw('entry 0 is 0.9, expected 0 or 1');
  });
});

describe('the threshold of a multi-label model', () => {
  it('is halfway between the probabilities that it parts', () => {
    expect(chooseThreshold([1, 1, 0, 0], [0.875, 0.75, 0.625, 0.5])).to.deep.equal({ threshold: 0.6875, microF1: 1 });
    expect(chooseThreshold([1, 1, 0, 0], [0.5, 0.375, 0.25, 0.125])).to.deep.equal({ threshold: 0.3125, microF1: 1 });
  });

  it('is 0.5 where that is as good as any', () => {
    expect(chooseThreshold([1, 0], [0.9, 0.2])).to.deep.equal({ threshold: 0.5, microF1: 1 });
    // A probability of 0.5 is enough.
    expect(chooseThreshold([1, 0], [0.5, 0.25])).to.deep.equal({ threshold: 0.5, microF1: 1 });
    expect(chooseThreshold([1, 0], [0.75, 0.5]).threshold).to.equal(0.625);
  });

  it('is the one nearest to 0.5 of equals, and then the higher one', () => {
    // The F1 is 2/3 with the first alone, 1/2 with two, 2/3 with all four.
    const labels = [1, 0, 0, 1];
    expect(chooseThreshold(labels, [1, 0.75, 0.375, 0.375])).to.deep.equal({ threshold: 0.1875, microF1: 2 / 3 });
    expect(chooseThreshold(labels, [1, 0.75, 0.25, 0.25])).to.deep.equal({ threshold: 0.875, microF1: 2 / 3 });
  });

  it('gives all of equal probabilities or none', () => {
    expect(chooseThreshold([1, 0, 1], [0.25, 0.25, 0.25])).to.deep.equal({ threshold: 0.125, microF1: 0.8 });
  });

  it('is 0.5 where there is no label, and no example', () => {
    expect(chooseThreshold([0, 0], [0.9, 0.1])).to.deep.equal({ threshold: 0.5, microF1: 0 });
    expect(chooseThreshold([], [])).to.deep.equal({ threshold: 0.5, microF1: 0 });
  });
});
