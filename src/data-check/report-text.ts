import { formatCount, plural } from '../ui/format.js';
import { formatTable } from '../ui/table.js';
import type { CheckReport, FileReport, LabelCount } from './check.js';
import { visible } from './encoding.js';
import { percent, type Finding } from './findings.js';
import type { TokenStatistics } from './tokens.js';

const mostLines = 5;
const mostLabels = 20;

/** A report as a person reads it: a paragraph for each file, one for each finding, and how many there are. */
export function reportText(report: CheckReport): string {
  return [...report.files.map(fileText), ...report.findings.map(findingText), summary(report)].join('\n\n');
}

function fileText({ split, file, examples, labels, entities, tokens }: FileReport): string {
  const unit = entities === undefined ? 'row' : 'sentence';
  const rows = [...countRows('label', labels), ...countRows('entity', entities ?? [])];
  const table = rows.length === 0 ? [] : formatTable(rows, ['left', 'left']).split('\n');
  const lines = [...table, ...(tokens === undefined ? [] : tokenLines(tokens))];
  return [`${split}: ${file}, ${plural(examples, unit)}`, ...lines.map((line) => `  ${line}`)].join('\n');
}

function countRows(title: string, counts: readonly LabelCount[]): string[][] {
  const total = counts.reduce((sum, { count }) => sum + count, 0);
  if (total === 0) return [];
  const shown =
    counts.length > mostLabels ? [...counts].sort((a, b) => b.count - a.count).slice(0, mostLabels) : counts;
  const rows = shown.map(({ label, count }, i) => [
    i === 0 ? title : '',
    visible(label),
    formatCount(count),
    percent(count, total),
  ]);
  const more = counts.length - shown.length;
  return more === 0 ? rows : [...rows, ['', `... and ${more} more`, '', '']];
}

function tokenLines(tokens: TokenStatistics): string[] {
  const { p50, p95, max, max_length: limit, truncated, texts, unknown, every } = tokens;
  const over = `${percent(truncated, texts)} over ${formatCount(limit)} (model.max_length)`;
  return [
    `tokens   p50 ${formatCount(p50)}, p95 ${formatCount(p95)}, max ${formatCount(max)}; ${over}`,
    `unknown  ${percent(unknown, tokens.tokens)} of ${plural(tokens.tokens, 'token')}`,
    ...(every === 1 ? [] : [`         of a sample: one text of ${every}, ${formatCount(texts)} in all`]),
  ];
}

function findingText({ severity, kind, file, message, count, lines }: Finding): string {
  const shown = lines.slice(0, mostLines);
  const rest = count - shown.length;
  return [
    `${severity} (${kind}): ${file === undefined ? '' : `${file}: `}${visible(message)}`,
    ...shown.map(({ line, message: what }) => `  ${file ?? ''}:${line}: ${visible(what)}`),
    ...(rest > 0 ? [`  ... and ${formatCount(rest)} more`] : []),
  ].join('\n');
}

function summary({ errors, warnings, notes }: CheckReport): string {
  if (errors + warnings + notes === 0) return 'nothing found';
  return `${plural(errors, 'error')}, ${plural(warnings, 'warning')}, ${plural(notes, 'note')}`;
}
