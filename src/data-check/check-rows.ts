import type { Cells, Columns } from '../data/columns.js';
import { collectLabels } from '../data/labels.js';
import { quote } from '../data/problems.js';
import { labelNames, labelProblems } from '../data/read-label-sets.js';
import { emptyTexts, listed } from '../data/read.js';
import { didYouMean } from '../nearest.js';
import { counted, createPlaces, findingOf, type Finding, type Places } from './findings.js';
import type { EncodingCheck } from './encoding.js';
import { addLabel, type LabelCounts } from './labels.js';
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
  /** What stands between labels, where a row has any number of them; undefined: it has one. */
  readonly separator: string | undefined;
  /** Told how many rows are done. */
  readonly onProgress: (done: number) => void;
}

export interface CheckedRows {
  readonly findings: readonly Finding[];
  readonly counts: LabelCounts;
  readonly labels: readonly string[];
}

/** The labels of a row; undefined where it says nothing of them. */
export function labelsOf(row: Cells, separator: string | undefined): readonly string[] | undefined {
  if (separator !== undefined) return labelNames(row, separator);
  return row.label ? [row.label] : undefined;
}

/** Looks at each row of a table: what the readers refuse, and what they let pass. */
export function checkRows(cells: readonly Cells[], checks: TextChecks, settings: RowSettings): CheckedRows {
  const { file, columns, requireLabels, separator, onProgress } = settings;
  const labels = settings.labels ?? collectLabels(namesIn(cells, separator));
  const ids = new Map(labels.map((name, id) => [name, id]));
  const counts = new Map<string, Places>();
  const [empty, unlabelled, unknown, wrong] = [createPlaces(), createPlaces(), createPlaces(), createPlaces()];
  cells.forEach((row, i) => {
    const { line } = row;
    const names = labelsOf(row, separator);
    for (const name of names ?? []) if (ids.has(name)) addLabel(counts, name, line);
    if (names === undefined) {
      if (requireLabels) unlabelled.add(line, () => noLabel(ids, separator));
    } else if (names.some((name) => name !== '' && !ids.has(name))) {
      unknown.add(line, () => unknownLabels(names, ids, separator));
    } else if (separator !== undefined) {
      for (const message of labelProblems(names, ids, { requireLabels, separator })) wrong.add(line, () => message);
    }
    const problems = emptyTexts(row, columns);
    if (problems.length > 0) empty.add(line, () => problems.join('; '));
    else checkTexts(row, names, checks, settings.allowsBreaks);
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
    ...findingOf(
      'error',
      'bad-label',
      file,
      wrong,
      `${counted(wrong.count, 'row has', 'rows have')} labels that cannot be read`,
    ),
  ];
  return { findings, counts, labels };
}

function* namesIn(cells: readonly Cells[], separator: string | undefined): Generator<string> {
  for (const row of cells) for (const name of labelsOf(row, separator) ?? []) if (name !== '') yield name;
}

const noLabel = (ids: ReadonlyMap<string, number>, separator: string | undefined): string =>
  separator === undefined
    ? `got no label, expected one of ${listed(ids)}`
    : labelProblems(undefined, ids, { requireLabels: true, separator }).join('; ');

function unknownLabels(
  names: readonly string[],
  ids: ReadonlyMap<string, number>,
  separator: string | undefined,
): string {
  if (separator !== undefined) return labelProblems(names, ids, { requireLabels: true, separator }).join('; ');
  const [label = ''] = names;
  return `got label ${quote(label)}, expected one of ${listed(ids)}${didYouMean(label, [...ids.keys()])}`;
}

function checkTexts(
  { line, text = '', pair }: Cells,
  names: readonly string[] | undefined,
  checks: TextChecks,
  allowsBreaks: boolean,
): void {
  const { encoding, repeats, tokens } = checks;
  const parts = pair === undefined ? [text] : [text, pair];
  for (const part of parts) encoding.look(line, part, allowsBreaks);
  for (const name of names ?? []) encoding.look(line, name, allowsBreaks);
  repeats.look(line, parts, names === undefined ? undefined : [...names].sort().join(', ') || 'none');
  tokens?.look(line, text, pair);
}
