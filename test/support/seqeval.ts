import { expect } from 'chai';
import { z } from 'zod';
import { entityMetrics, type EntityMetrics } from '../../src/metrics/entities.js';
import { entityReport } from '../../src/metrics/report.js';
import { lenientEntities, strictEntities, type TagScheme } from '../../src/metrics/tags.js';

const rowSchema = z.object({ precision: z.number(), recall: z.number(), 'f1-score': z.number(), support: z.number() });
const reportSchema = z.object({ numbers: z.record(z.string(), rowSchema), text: z.string() }).nullable();

/** What `measure` in test/interop/entities.py returns. */
export const seqevalSchema = z.object({ lenient: reportSchema, strict: reportSchema });

export type SeqevalReport = z.infer<typeof reportSchema>;

export interface Tagged {
  readonly gold: readonly (readonly string[])[];
  readonly predicted: readonly (readonly string[])[];
}

export const lenientMetrics = ({ gold, predicted }: Tagged): EntityMetrics =>
  entityMetrics(gold.map(lenientEntities), predicted.map(lenientEntities));

export const strictMetrics = ({ gold, predicted }: Tagged, scheme: TagScheme): EntityMetrics =>
  entityMetrics(
    gold.map((tags) => strictEntities(tags, scheme)),
    predicted.map((tags) => strictEntities(tags, scheme)),
  );

const none = { precision: 0, recall: 0, f1: 0 };

/** Compares every number; `expected` is null where seqeval refuses tags without entities. */
export function expectSeqeval(metrics: EntityMetrics, expected: SeqevalReport): void {
  if (expected === null) {
    expect(metrics).to.deep.equal({
      ...{ types: [], micro: none, macro: none, weighted: none },
      ...{ support: 0, predicted: 0, correct: 0 },
    });
    return;
  }
  const { numbers } = expected;
  const averages = ['micro avg', 'macro avg', 'weighted avg'];
  expect(metrics.types.map(({ type }) => type)).to.deep.equal(
    Object.keys(numbers).filter((name) => !averages.includes(name)),
  );
  const rows: [string, { precision: number; recall: number; f1: number; support: number }][] = [
    ...metrics.types.map((scores): (typeof rows)[number] => [scores.type, scores]),
    ['micro avg', { ...metrics.micro, support: metrics.support }],
    ['macro avg', { ...metrics.macro, support: metrics.support }],
    ['weighted avg', { ...metrics.weighted, support: metrics.support }],
  ];
  for (const [name, { precision, recall, f1, support }] of rows) {
    const row = numbers[name]!;
    expect(precision, `${name}: precision`).to.be.closeTo(row.precision, 1e-12);
    expect(recall, `${name}: recall`).to.be.closeTo(row.recall, 1e-12);
    expect(f1, `${name}: F1`).to.be.closeTo(row['f1-score'], 1e-12);
    expect(support, `${name}: support`).to.equal(row.support);
  }
}

/** seqeval pads by characters, not by columns: blanks are compared where no wide character is among the names. */
export function expectReport(metrics: EntityMetrics, { text }: NonNullable<SeqevalReport>): void {
  const isWide = /\p{Script=Han}/u.test(text);
  const squeezed = (report: string): string => (isWide ? report.replaceAll(/ +/g, ' ') : report);
  expect(squeezed(`${entityReport(metrics)}\n`)).to.equal(squeezed(text));
}
