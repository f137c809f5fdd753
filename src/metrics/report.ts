import { formatTable, padColumns } from '../ui/table.js';
import stringWidth from 'string-width';
import type { AverageScores, ClassificationMetrics } from './classification.js';
import type { EntityMetrics } from './entities.js';

const digits = 4;
const columnWidth = 9;
const averageName = 'weighted avg';
const header = ['precision', 'recall', 'f1-score', 'support'];

/**
 * The report as scikit-learn's classification_report(digits=4) prints it, then the accuracy of always answering the
 * most frequent label: what a model must beat.
 * @param labels names by class id
 */
export function classificationReport(metrics: ClassificationMetrics, labels: readonly string[]): string {
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
  ].join('\n');
}

/** The report as seqeval's classification_report(digits=4) prints it, in either mode. */
export function entityReport({ types, micro, macro, weighted, support }: EntityMetrics): string {
  const row = createRow(types.map(({ type }) => type));
  return [
    row('', header),
    '',
    ...types.map((scored) => row(scored.type, [...scores(scored), String(scored.support)])),
    '',
    row('micro avg', [...scores(micro), String(support)]),
    row('macro avg', [...scores(macro), String(support)]),
    row(averageName, [...scores(weighted), String(support)]),
  ].join('\n');
}

/** A row under names, which are as wide as the longest of them. */
function createRow(names: readonly string[]): (name: string, cells: readonly string[]) => string {
  const nameWidth = Math.max(...names.map((name) => stringWidth(name)), averageName.length, digits);
  return (name, cells) =>
    [padColumns(name, nameWidth, 'right'), '', ...cells.map((cell) => cell.padStart(columnWidth))].join(' ');
}

const scores = ({ precision, recall, f1 }: AverageScores): string[] => [precision, recall, f1].map(fixed);

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
