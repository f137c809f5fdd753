import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { classificationSchema, expectClassification } from '../../test/support/scikit-learn.js';
import { packageRoot } from '../package-root.js';
import { classificationMetrics } from './classification.js';
import { confusionTable } from './report.js';

const caseSchema = classificationSchema.extend({
  title: z.string(),
  names: z.array(z.string()),
  labels: z.array(z.int()),
  predictions: z.array(z.int()),
});

// Made by test/fixtures/metrics/make.py.
const fixture = join(packageRoot(), 'test/fixtures/metrics/classification.json');
const cases = z.array(caseSchema).parse(JSON.parse(readFileSync(fixture, 'utf8')));

describe('classification metrics', () => {
  for (const { title, names, labels, predictions, ...expected } of cases) {
    it(`equal scikit-learn's, and so does the report: ${title}`, () => {
      const metrics = classificationMetrics(labels, predictions, names.length);
      expect(metrics.examples).to.equal(labels.length);
      expectClassification(metrics, names, expected);
    });
  }

  it('name the majority class, the first of equals', () => {
    expect(classificationMetrics([0, 1, 1], [0, 0, 0], 3)).to.include({ majorityClass: 1, majorityAccuracy: 2 / 3 });
    expect(classificationMetrics([2, 1], [0, 0], 3).majorityClass).to.equal(1);
  });

  it('are all zero without examples', () => {
    const metrics = classificationMetrics([], [], 2);
    expect(metrics).to.include({ examples: 0, accuracy: 0, majorityAccuracy: 0, majorityClass: 0, mcc: 0 });
    expect(metrics.macro).to.deep.equal({ precision: 0, recall: 0, f1: 0 });
  });

  it('refuse ids outside the classes and lists of different length', () => {
    expect(() => classificationMetrics([0, 2], [0, 0], 2)).to.throw('label 2, prediction 0, but 2 classes');
    expect(() => classificationMetrics([0], [-1], 2)).to.throw('prediction -1');
    expect(() => classificationMetrics([0], [0, 1], 2)).to.throw('1 labels, but 2 predictions');
  });

  it('take typed arrays', () => {
    expect(classificationMetrics(Int32Array.of(0, 1), new Uint8Array([0, 1]), 2).accuracy).to.equal(1);
  });

  it('line up Chinese labels in the confusion matrix', () => {
    const table = confusionTable(classificationMetrics([0, 0, 1], [0, 1, 1], 2), ['负面', '正面']);
    expect(table.split('\n')).to.deep.equal([
      'true \\ predicted  负面  正面',
      '负面                 1     1',
      '正面                 0     1',
    ]);
  });
});
