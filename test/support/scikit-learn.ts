import { expect } from 'chai';
import { z } from 'zod';
import type { ClassificationMetrics } from '../../src/metrics/classification.js';
import type { MultiLabelMetrics } from '../../src/metrics/multi-label.js';
import { classificationReport, multiLabelReport } from '../../src/metrics/report.js';
import type { AverageScores, ClassScores } from '../../src/metrics/scores.js';

const averageSchema = z.object({ precision: z.number(), recall: z.number(), f1: z.number() });
const scoresSchema = z.object({
  classes: z.array(averageSchema.extend({ support: z.int() })),
  micro: averageSchema,
  macro: averageSchema,
  weighted: averageSchema,
  report: z.string(),
});

/** What `measure_classes` in test/interop/metrics.py returns. */
export const classificationSchema = scoresSchema.extend({
  confusion: z.array(z.array(z.int())),
  accuracy: z.number(),
  mcc: z.number(),
});

/** What `measure_labels` returns. */
export const multiLabelSchema = scoresSchema.extend({
  subset_accuracy: z.number(),
  hamming_loss: z.number(),
  samples: averageSchema,
});

/** Compares every number, and the report as text. */
export function expectClassification(
  metrics: ClassificationMetrics,
  names: readonly string[],
  expected: z.infer<typeof classificationSchema>,
): void {
  expect(metrics.confusion).to.deep.equal(expected.confusion);
  expect(metrics.accuracy).to.be.closeTo(expected.accuracy, 1e-12);
  expect(metrics.mcc, 'MCC').to.be.closeTo(expected.mcc, 1e-12);
  expectScores(metrics.classes, expected.classes);
  expectAverages(metrics, expected, ['micro', 'macro', 'weighted']);
  const lines = classificationReport(metrics, names).split('\n');
  expect(`${lines.slice(0, -3).join('\n')}\n`).to.equal(expected.report);
  expect(lines.at(-2)).to.match(/^majority class \(.+\): accuracy \d\.\d{4}$/);
  expect(lines.at(-1)).to.match(/^Matthews correlation: -?\d\.\d{4}$/);
}

/** Compares every number, and the report as text. */
export function expectMultiLabel(
  metrics: MultiLabelMetrics,
  names: readonly string[],
  expected: z.infer<typeof multiLabelSchema>,
): void {
  expect(metrics.subsetAccuracy).to.be.closeTo(expected.subset_accuracy, 1e-12);
  expect(metrics.hammingLoss).to.be.closeTo(expected.hamming_loss, 1e-12);
  expectScores(metrics.labels, expected.classes);
  expectAverages(metrics, expected, ['micro', 'macro', 'weighted', 'samples']);
  const lines = multiLabelReport(metrics, names).split('\n');
  expect(`${lines.slice(0, -3).join('\n')}\n`).to.equal(expected.report);
}

function expectScores(got: readonly ClassScores[], expected: readonly ClassScores[]): void {
  expect(got.map(({ support }) => support)).to.deep.equal(expected.map(({ support }) => support));
  got.forEach((scores, id) => {
    expectClose(scores, expected[id]!, `class ${id}`);
  });
}

function expectAverages<Name extends string>(
  got: Readonly<Record<Name, AverageScores>>,
  expected: Readonly<Record<Name, AverageScores>>,
  names: readonly Name[],
): void {
  for (const name of names) expectClose(got[name], expected[name], name);
}

function expectClose(got: AverageScores, expected: AverageScores, what: string): void {
  for (const key of ['precision', 'recall', 'f1'] as const) {
    expect(got[key], `${what}: ${key}`).to.be.closeTo(expected[key], 1e-12);
  }
}
