import stringWidth from 'string-width';
import { formatCount, plural } from '../ui/format.js';
import { formatTable, padColumns } from '../ui/table.js';
import type { ClassificationIntervals, Interval } from './bootstrap.js';
import type { ClassificationMetrics } from './classification.js';
import type { AnswerKind, Comparison } from './comparison.js';
import type { EntityMetrics } from './entities.js';
import type { MultiLabelMetrics } from './multi-label.js';
import type { AverageScores } from './scores.js';

const digits = 4;
const columnWidth = 9;
const averageName = 'weighted avg';
const header = ['precision', 'recall', 'f1-score', 'support'];

/**
 * The report as scikit-learn's classification_report(digits=4) prints it; then the accuracy of always answering the
 * most frequent label, which a model must beat, and the Matthews correlation; then the intervals where they are given.
 * @param labels names by class id
 */
export function classificationReport(
  metrics: ClassificationMetrics,
  labels: readonly string[],
  intervals?: ClassificationIntervals,
): string {
  const row = createRow(labels);
  const support = String(metrics.examples);
  return [
    row('', header),
    '',
    ...metrics.classes.map((scored, id) => row(labels[id] ?? String(id), [...scores(scored), String(scored.support)])),
    '',
    row('accuracy', ['', '', fixed(metrics.accuracy), support]),
    row('macro avg', [...scores(metrics.macro), support]),
    row(averageName, [...scores(metrics.weighted), support]),
    '',
    `majority class (${labels[metrics.majorityClass] ?? metrics.majorityClass}): accuracy ${fixed(metrics.majorityAccuracy)}`,
    `Matthews correlation: ${fixed(metrics.mcc)}`,
    ...intervalLines(
      intervals && [
        ['accuracy', metrics.accuracy, intervals.accuracy],
        ['macro F1', metrics.macro.f1, intervals.macroF1],
        ['Matthews correlation', metrics.mcc, intervals.mcc],
      ],
    ),
  ].join('\n');
}

/**
 * The report as seqeval's classification_report(digits=4) prints it, in either mode; then the interval of the micro F1
 * where it is given.
 */
export function entityReport({ types, micro, macro, weighted, support }: EntityMetrics, interval?: Interval): string {
  const row = createRow(types.map(({ type }) => type));
  return [
    row('', header),
    '',
    ...types.map((scored) => row(scored.type, [...scores(scored), String(scored.support)])),
    '',
    row('micro avg', [...scores(micro), String(support)]),
    row('macro avg', [...scores(macro), String(support)]),
    row(averageName, [...scores(weighted), String(support)]),
    ...intervalLines(interval && [['micro F1', micro.f1, interval]]),
  ].join('\n');
}

/**
 * The report as scikit-learn's classification_report(digits=4) prints it of indicator matrices; then how many examples
 * and entries are right, and the interval of the micro F1 where it is given.
 * @param names of the labels, by id
 */
export function multiLabelReport(metrics: MultiLabelMetrics, names: readonly string[], interval?: Interval): string {
  const row = createRow(names);
  const support = String(metrics.labels.reduce((sum, scored) => sum + scored.support, 0));
  return [
    row('', header),
    '',
    ...metrics.labels.map((scored, id) => row(names[id] ?? String(id), [...scores(scored), String(scored.support)])),
    '',
    row('micro avg', [...scores(metrics.micro), support]),
    row('macro avg', [...scores(metrics.macro), support]),
    row(averageName, [...scores(metrics.weighted), support]),
    row('samples avg', [...scores(metrics.samples), support]),
    '',
    `all labels right: ${fixed(metrics.subsetAccuracy)} of ${formatCount(metrics.examples)} examples`,
    `Hamming loss: ${fixed(metrics.hammingLoss)}`,
    ...intervalLines(interval && [['micro F1', metrics.micro.f1, interval]]),
  ].join('\n');
}

/** A row under names, which are as wide as the longest of them. */
function createRow(names: readonly string[]): (name: string, cells: readonly string[]) => string {
  const nameWidth = Math.max(...names.map((name) => stringWidth(name)), averageName.length, digits);
  return (name, cells) =>
    [padColumns(name, nameWidth, 'right'), '', ...cells.map((cell) => cell.padStart(columnWidth))].join(' ');
}

const scores = ({ precision, recall, f1 }: AverageScores): string[] => [precision, recall, f1].map(fixed);

function intervalLines(rows: readonly (readonly [string, number, Interval])[] | undefined): string[] {
  if (rows === undefined) return [];
  return [
    '',
    '95 % bootstrap intervals:',
    formatTable(rows.map(([name, value, interval]) => [name, fixed(value), formatInterval(interval)])),
  ];
}

/** 0.8641 to 0.8935 */
const formatInterval = ({ low, high }: Interval): string => `${fixed(low)} to ${fixed(high)}`;

const wholeAnswers: Readonly<Record<AnswerKind, string>> = {
  label: 'accuracy on the same',
  labels: 'all labels right on the same',
  entities: 'all entities right on the same',
};

/** A difference is called more than chance where fewer than 5 in 100 pairs of equal models would show it. */
const significance = 0.05;

/**
 * What a comparison found, in a few lines.
 * @param names of the two models
 */
export function comparisonReport(comparison: Comparison, names: readonly [string, string]): string {
  const { kind, examples, first, second, onlyFirst, onlySecond, test, microF1 } = comparison;
  const noun = kind === 'entities' ? 'sentence' : 'example';
  const verdict = test.p < significance ? 'more than chance explains' : 'which may be chance';
  const p = test.p < 0.0001 ? 'p < 0.0001' : `p = ${fixed(test.p)}`;
  return [
    `${wholeAnswers[kind]} ${plural(examples, noun)}: ${names[0]} ${fixed(first)}, ${names[1]} ${fixed(second)}`,
    onlyFirst + onlySecond === 0
      ? 'both are right on the same ones'
      : `only ${names[0]} is right on ${formatCount(onlyFirst)}, only ${names[1]} on ${formatCount(onlySecond)}: ` +
        `${p} (McNemar's test, ${test.method}), ${verdict}`,
    ...(microF1 === undefined
      ? []
      : [
          `micro F1: ${names[0]} ${fixed(microF1.first)}, ${names[1]} ${fixed(microF1.second)}; ` +
            `difference ${fixed(microF1.first - microF1.second)}, 95 % bootstrap interval ${formatInterval(microF1.gain)}`,
        ]),
  ].join('\n');
}

/** Rows are true labels, columns predicted ones. */
export function confusionTable(metrics: ClassificationMetrics, labels: readonly string[]): string {
  const name = (id: number): string => labels[id] ?? String(id);
  const head = ['true \\ predicted', ...metrics.confusion.map((_, id) => name(id))];
  const rows = metrics.confusion.map((counts, id) => [name(id), ...counts.map(String)]);
  return formatTable([head, ...rows]);
}

/** Four digits, ties to the even one as in Python: 7/32 is 0.2188 there and 25/32 is 0.7812. */
function fixed(value: number): string {
  const scaled = value * 10 ** digits;
  const isTie = Number.isInteger(value * 32) && scaled % 1 === 0.5;
  if (!isTie) return value.toFixed(digits);
  const below = Math.floor(scaled);
  return ((below % 2 === 0 ? below : below + 1) / 10 ** digits).toFixed(digits);
}
