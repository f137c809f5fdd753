import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import {
  expectReport,
  expectSeqeval,
  lenientMetrics,
  seqevalSchema,
  strictMetrics,
} from '../../test/support/seqeval.js';
import { packageRoot } from '../package-root.js';
import { entityMetrics } from './entities.js';
import { entityReport } from './report.js';

const tagsSchema = z.array(z.array(z.string()));
const caseSchema = seqevalSchema.extend({
  title: z.string(),
  scheme: z.enum(['IOB2', 'IOBES', 'BILOU']),
  gold: tagsSchema,
  predicted: tagsSchema,
});

// Made by test/fixtures/metrics/make_entities.py.
const fixture = join(packageRoot(), 'test/fixtures/metrics/entities.json');
const cases = z.array(caseSchema).parse(JSON.parse(readFileSync(fixture, 'utf8')));

describe('entity metrics', () => {
  for (const { title, scheme, lenient, strict, ...tagged } of cases) {
    // seqeval's default mode does not know L and U.
    if (scheme !== 'BILOU') {
      it(`equal seqeval's: ${title}`, () => {
        const metrics = lenientMetrics(tagged);
        expectSeqeval(metrics, lenient);
        if (lenient !== null) expectReport(metrics, lenient);
      });
    }

    it(`equal seqeval's strict ones: ${title}`, () => {
      const metrics = strictMetrics(tagged, scheme);
      expectSeqeval(metrics, strict);
      if (strict !== null) expectReport(metrics, strict);
    });
  }

  it('take BILOU for what IOBES would be', () => {
    for (const { gold, predicted, scheme } of cases) {
      if (scheme !== 'IOBES') continue;
      const letters: Record<string, string> = { E: 'L', S: 'U' };
      const bilou = (sentences: string[][]): string[][] =>
        sentences.map((tags) => tags.map((tag) => tag.replace(/^[ES]/, (letter) => letters[letter]!)));
      const other = { gold: bilou(gold), predicted: bilou(predicted) };
      expect(lenientMetrics(other)).to.deep.equal(lenientMetrics({ gold, predicted }));
    }
  });

  it('refuse sentences without predictions', () => {
    expect(() => entityMetrics([[], []], [[]])).to.throw('2 sentences, but predictions of 1');
  });

  it('are reported where there is no entity', () => {
    const lines = entityReport(entityMetrics([], [])).split('\n');
    expect(lines.filter((line) => line.includes('avg'))).to.have.length(3);
    expect(lines[3]).to.match(/^ {3}micro avg +0\.0000 +0\.0000 +0\.0000 +0$/);
  });
});
