import type { Columns } from '../data/columns.js';
import { UserError } from '../errors.js';
import { didYouMean } from '../nearest.js';
import { formatCount, plural } from '../ui/format.js';
import { labelNames, numbered, plainName, secondNames, textNames } from './header.js';
import { labelsInList, type DataTable } from './table.js';

/** Columns that the user named; undefined: to be found. */
export interface WantedColumns {
  readonly text: string | undefined;
  readonly pair: string | undefined;
  readonly label: string | undefined;
}

export interface FoundColumns {
  readonly columns: {
    readonly text: string | number;
    readonly pair?: string | number;
    readonly label: string | number;
  };
  /** The same as positions in the table's rows. */
  readonly at: { readonly text: number; readonly pair: number | undefined; readonly label: number };
  /** Whether the labels are lists: any number of them a row. */
  readonly inLists: boolean;
  /** How they were found, in words. */
  readonly why: string;
}

/** What is known of one column. */
interface Column {
  readonly at: number;
  readonly name: string | undefined;
  readonly textual: boolean;
  readonly list: boolean;
  /** Rows of the sample that have something there. */
  readonly filled: number;
  readonly rows: number;
  readonly distinct: number;
  readonly meanLength: number;
  /** Share of the values with a letter in them. */
  readonly wordy: number;
  /** Whether the values look like keys of something (A0032), not like language. */
  readonly keyLike: boolean;
  readonly fractional: boolean;
}

/**
 * Which columns hold what: as the user says, else by the names in the header, else by what stands in them.
 *
 * @throws UserError 'usage' for a name that is none, 'data' where there are no labels or no texts
 */
export function findColumns(path: string, table: DataTable, wanted: WantedColumns): FoundColumns {
  const columns = describeColumns(table);
  const given = (name: string | undefined, flag: string): Column | undefined =>
    name === undefined ? undefined : namedColumn(path, table, columns, name, flag);
  const wantedLabel = given(wanted.label, '--label-column');
  const wantedText = given(wanted.text, '--text-column');
  const wantedPair = given(wanted.pair, '--pair-column');
  const taken = [wantedText, wantedPair];
  const label = wantedLabel ?? findLabel(columns.filter((column) => !taken.includes(column)));
  if (label === undefined) throw new NoLabels(path, table);
  const others = columns.filter((column) => column !== label && column !== wantedPair);
  const texts = wantedText === undefined ? findTexts(others) : { text: wantedText, pair: undefined };
  if (texts === undefined) throw noTexts(path, table, label);
  const text = texts.text;
  // Any number of labels is given to single texts only.
  const pair = wantedPair ?? (label.list ? undefined : texts.pair);
  const chosen = [text, pair, label].filter((column) => column !== undefined);
  if (new Set(chosen).size < chosen.length) {
    throw new UserError('usage', `${path}: text, second text and label: got one column twice`);
  }
  const id = ({ name, at }: Column): string | number => name ?? at;
  return {
    columns: { text: id(text), ...(pair === undefined ? {} : { pair: id(pair) }), label: id(label) },
    at: { text: text.at, pair: pair?.at, label: label.at },
    inLists: label.list,
    why: explain(table, columns, chosen),
  };
}

/** Nothing can be learned of a file: told apart, because what to do hangs on the files beside it. */
export class NoLabels extends UserError {
  constructor(path: string, { rows, names }: DataTable) {
    const columns = names === undefined ? plural(rows[0]?.length ?? 0, 'column') : `the columns ${names.join(', ')}`;
    super(
      'data',
      `${path}: got ${columns} in ${plural(rows.length, 'row')} and none of labels, expected one with a few different ` +
        'values: there is nothing to learn from',
    );
  }
}

function noTexts(path: string, table: DataTable, label: Column): UserError {
  return new UserError(
    'data',
    `${path}: got no column of texts beside the labels in ${nameOf(label)} (${plural(table.rows.length, 'row')})`,
    'Name it: --text-column NAME, or a position from 0 where there is no header.',
  );
}

const nameOf = ({ name, at }: Pick<Column, 'name' | 'at'>): string => name ?? `column ${at}`;

/** Rows that are looked at, evenly spread over the file. */
const sampleSize = 20_000;

export function spread<T>(items: readonly T[], most: number): readonly T[] {
  if (items.length <= most) return items;
  const step = items.length / most;
  return Array.from({ length: most }, (_, i) => items[Math.floor(i * step)]!);
}

function describeColumns(table: DataTable): Column[] {
  const rows = spread(table.rows, sampleSize);
  return table.textual.flatMap((textual, at) => {
    const name = table.names?.[at];
    // A column without a name (an index that a program wrote) cannot be named in a task.
    if (name === '') return [];
    const values = rows.flatMap((row) => (row[at] === undefined || row[at].trim() === '' ? [] : [row[at]]));
    const share = (test: (value: string) => boolean): number => values.filter(test).length / Math.max(1, values.length);
    return {
      at,
      name,
      textual,
      list: table.lists[at] === true && values.length > 0,
      filled: values.length,
      rows: rows.length,
      distinct: new Set(values).size,
      meanLength: values.reduce((sum, { length }) => sum + length, 0) / Math.max(1, values.length),
      wordy: share((value) => /\p{L}/u.test(value)),
      keyLike: share((value) => /^[\w:./-]*\d[\w:./-]*$/.test(value)) > 0.9,
      fractional: values.some((value) => /^-?\d*\.\d+$/.test(value)),
    };
  });
}

function namedColumn(path: string, table: DataTable, columns: readonly Column[], wanted: string, flag: string): Column {
  const found = columns.find(({ name, at }) => (name ?? String(at)) === wanted);
  if (found !== undefined) return found;
  const known = table.names ?? columns.map(({ at }) => String(at));
  const what = table.names === undefined ? 'the positions (there is no header)' : 'the columns';
  throw new UserError(
    'usage',
    `${flag} ${wanted}: ${path} has ${what} ${known.join(', ')}${didYouMean(wanted, known)}`,
  );
}

const mostLabels = 1000;
const longestLabel = 60;

/** Few values that come again and again; by its name, else the fewest, else the last such column. */
function findLabel(columns: readonly Column[]): Column | undefined {
  const candidates = columns.filter((column) => isLabelLike(column));
  const byName = firstNamed(candidates, labelNames);
  if (byName !== undefined) return byName;
  const list = candidates.find((column) => column.list);
  if (list !== undefined) return list;
  const fewest = Math.min(...candidates.map(({ distinct }) => distinct));
  return candidates.filter(({ distinct, name }) => distinct === fewest && !isTextName(name)).at(-1);
}

const isTextName = (name: string | undefined): boolean => name !== undefined && textNames.includes(plainName(name));

function isLabelLike({ name, rows, filled, list, distinct, meanLength, fractional }: Column): boolean {
  if (list) return filled >= rows / 2;
  const isNamed = name !== undefined && labelNames.includes(plainName(name));
  if (filled < rows / 2 || distinct > mostLabels || meanLength > longestLabel) return false;
  // One label: a mistake that is better told by its name than by "no labels".
  if (distinct < 2) return isNamed && distinct === 1;
  if (fractional && distinct > 20) return false;
  return distinct <= filled / (isNamed ? 1.5 : 3) || filled < 6;
}

function firstNamed(columns: readonly Column[], names: readonly string[]): Column | undefined {
  for (const wanted of names) {
    const found = columns.find(({ name }) => name !== undefined && plainName(name) === wanted);
    if (found !== undefined) return found;
  }
  return undefined;
}

interface Texts {
  readonly text: Column;
  readonly pair: Column | undefined;
}

function findTexts(columns: readonly Column[]): Texts | undefined {
  const candidates = columns.filter(
    ({ textual, filled, rows, wordy, keyLike }) => textual && filled > rows / 2 && wordy > 0.8 && !keyLike,
  );
  return namedPair(candidates) ?? namedText(candidates) ?? textsByContent(candidates);
}

function namedPair(columns: readonly Column[]): Texts | undefined {
  for (const text of columns) {
    if (text.name === undefined) continue;
    const first = numbered(text.name);
    const isPartner = ({ name }: Column): boolean => {
      const second = name === undefined ? undefined : numbered(name);
      return first?.second === false && second?.second === true && second.stem === first.stem;
    };
    const names = secondNames[plainName(text.name)] ?? [];
    const pair = columns.find(isPartner) ?? firstNamed(columns, names);
    if (pair !== undefined && pair !== text) return { text, pair };
  }
  return undefined;
}

function namedText(columns: readonly Column[]): Texts | undefined {
  const text = firstNamed(columns, textNames);
  return text === undefined ? undefined : { text, pair: undefined };
}

/** Without a header two columns of like texts are a pair; of others the longest is the text. */
function textsByContent(columns: readonly Column[]): Texts | undefined {
  const [longest, next, ...more] = [...columns].sort((a, b) => b.meanLength - a.meanLength || a.at - b.at);
  if (longest === undefined) return undefined;
  const isVaried = ({ distinct, filled }: Column): boolean => distinct > filled / 5;
  const isLike = next !== undefined && next.meanLength > longest.meanLength / 4 && isVaried(next);
  if (longest.name !== undefined || !isLike || more.length > 0) return { text: longest, pair: undefined };
  const [text, pair] = longest.at < next.at ? [longest, next] : [next, longest];
  return { text, pair };
}

function explain(table: DataTable, columns: readonly Column[], chosen: readonly Column[]): string {
  const how =
    table.names === undefined
      ? `There is no header, so columns are counted from 0, by what stands in them`
      : `By the ${table.format === 'jsonl' ? 'keys' : 'header'}: ${table.names.map((name) => name || '(no name)').join(', ')}`;
  const unused = columns.filter((column) => !chosen.includes(column));
  const label = chosen.at(-1)!;
  const values = label.list
    ? `${nameOf(label)} has lists of labels`
    : `${nameOf(label)} has ${formatCount(label.distinct)} different values`;
  const left = unused.length === 0 ? '' : ` Not used: ${unused.map(nameOf).join(', ')}.`;
  return `${how}; ${values}.${left}`;
}

/** Whether another file has the columns, and labels in them. */
export function fits(table: DataTable, { columns, at }: FoundColumns): 'labelled' | 'unlabelled' | 'no' {
  const position = (column: string | number | undefined, own: number | undefined): number | undefined => {
    if (column === undefined) return undefined;
    if (typeof column === 'number') return table.names === undefined && column < table.textual.length ? own : undefined;
    const index = table.names?.indexOf(column) ?? -1;
    return index < 0 ? undefined : index;
  };
  const needed: Columns = columns;
  const [text, pair] = [position(needed.text, at.text), position(needed.pair, at.pair)];
  if (text === undefined || (needed.pair !== undefined && pair === undefined)) return 'no';
  const label = position(needed.label, at.label);
  const labelled = label === undefined ? 0 : table.rows.filter((row) => (row[label] ?? '') !== '').length;
  return labelled === 0 ? 'unlabelled' : 'labelled';
}

/** The values of a file's label column, by how often they come. */
export function countLabels(table: DataTable, { columns, at, inLists }: FoundColumns): Map<string, number> {
  const index = typeof columns.label === 'string' ? (table.names?.indexOf(columns.label) ?? -1) : at.label;
  const counts = new Map<string, number>();
  for (const row of table.rows) {
    const label = row[index];
    if (label === undefined || label === '') continue;
    for (const one of inLists ? labelsInList(label) : [label]) counts.set(one, (counts.get(one) ?? 0) + 1);
  }
  return counts;
}
