import type { Cells, Columns } from '../data/columns.js';
import { collectLabels } from '../data/labels.js';
import { quote } from '../data/problems.js';
import { emptyTexts, listed } from '../data/read.js';
import { didYouMean } from '../nearest.js';
import { counted, createPlaces, findingOf, type Finding } from './findings.js';
import type { EncodingCheck } from './encoding.js';
import type { RepeatCheck } from './repeats.js';
import type { TokenCheck } from './tokens.js';

/** The checks that look at every text of a file; `tokens` where there is a tokenizer. */
export interface TextChecks {
  readonly encoding: EncodingCheck;
  readonly repeats: RepeatCheck;
  readonly tokens: TokenCheck | undefined;
}

export interface RowSettings {
  readonly file: string;
  readonly columns: Columns;
  /** Whether tabs and line breaks may stand in a text. */
  readonly allowsBreaks: boolean;
  /** Those of the task; undefined: those of this file. */
  readonly labels: readonly string[] | undefined;
  /** Whether a row without a label is an error. */
  readonly requireLabels: boolean;
  /** Told how many rows are done. */
  readonly onProgress: (done: number) => void;
}

export interface CheckedRows {
  readonly findings: readonly Finding[];
  readonly counts: ReadonlyMap<string, number>;
  readonly labels: readonly string[];
}

/** Looks at each row of a table: what readExamples refuses, and what it lets pass. */
export function checkRows(cells: readonly Cells[], checks: TextChecks, settings: RowSettings): CheckedRows {
  const { file, columns, requireLabels, onProgress } = settings;
  const labels = settings.labels ?? collectLabels(labelNames(cells));
  const ids = new Map(labels.map((name, id) => [name, id]));
  const counts = new Map<string, number>();
  const [empty, unlabelled, unknown] = [createPlaces(), createPlaces(), createPlaces()];
  cells.forEach((row, i) => {
    const { line, label } = row;
    if (label) {
      if (ids.has(label)) counts.set(label, (counts.get(label) ?? 0) + 1);
      else unknown.add(line, () => unknownLabel(label, ids));
    } else if (requireLabels) {
      unlabelled.add(line, () => `got no label, expected one of ${listed(ids)}`);
    }
    const problems = emptyTexts(row, columns);
    if (problems.length > 0) empty.add(line, () => problems.join('; '));
    else checkTexts(row, checks, settings.allowsBreaks);
    if (i % 1000 === 999) onProgress(i + 1);
  });
  onProgress(cells.length);
  const findings = [
    ...findingOf('error', 'empty-text', file, empty, `${counted(empty.count, 'row has', 'rows have')} no text`),
    ...findingOf(
      'error',
      'missing-label',
      file,
      unlabelled,
      `${counted(unlabelled.count, 'row has', 'rows have')} no label`,
    ),
    ...findingOf(
      'error',
      'unknown-label',
      file,
      unknown,
      `${counted(unknown.count, 'row has', 'rows have')} a label that the task does not have`,
    ),
  ];
  return { findings, counts, labels };
}

function* labelNames(cells: readonly Cells[]): Generator<string> {
  for (const { label } of cells) if (label) yield label;
}

const unknownLabel = (label: string, ids: ReadonlyMap<string, number>): string =>
  `got label ${quote(label)}, expected one of ${listed(ids)}${didYouMean(label, [...ids.keys()])}`;

function checkTexts({ line, text = '', pair, label }: Cells, checks: TextChecks, allowsBreaks: boolean): void {
  const { encoding, repeats, tokens } = checks;
  const parts = pair === undefined ? [text] : [text, pair];
  for (const part of parts) encoding.look(line, part, allowsBreaks);
  if (label) encoding.look(line, label, allowsBreaks);
  repeats.look(line, parts, label === '' ? undefined : label);
  tokens?.look(line, text, pair);
}
