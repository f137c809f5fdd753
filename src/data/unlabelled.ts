import { UserError } from '../errors.js';
import type { Block } from './blocks.js';
import { areNames, pickColumns, type Cells, type Columns } from './columns.js';
import { csvRows } from './csv.js';
import type { Example } from './example.js';
import type { DataFormat } from './format.js';
import { jsonlCells } from './jsonl.js';
import { decodeLines, notUtf8, utf8Hint } from './lines.js';
import { throwProblems, type Problem } from './problems.js';
import { emptyTexts } from './read.js';
import { emptyLine, tsvRows, type Row } from './table.js';

/** Where the texts of unlabelled data stand. */
export type UnlabelledLayout =
  | { readonly format: DataFormat; readonly columns: Pick<Columns, 'text' | 'pair'> }
  /** One text a line, or two with a tab between them; undefined: as the first line has it. */
  | { readonly format: 'lines'; readonly pairs: boolean | undefined };

/** What is wrong with a line, or with the file from that line on: then it cannot be passed over. */
export interface LineProblem extends Problem {
  readonly endsReading?: boolean;
}

/** Makes examples of a file's blocks, one after the other. */
export interface UnlabelledReader {
  /**
   * @param problems gets an entry for each bad line, with its number in the file
   * @throws UserError 'data' where a column is missing
   */
  read(block: Block, problems: LineProblem[]): Example[];
  /** Throws UserError 'data' where there was no example. */
  end(): void;
}

/**
 * @param name the file, for messages
 * @param hint says how columns are chosen
 */
export function createUnlabelledReader(name: string, layout: UnlabelledLayout, hint: string): UnlabelledReader {
  const examplesOf = layout.format === 'lines' ? lineExamples(name, layout.pairs) : tableExamples(name, layout, hint);
  let [blocks, rows] = [0, 0];
  return {
    read(block, problems) {
      const before = problems.length;
      const examples = examplesOf(block, problems);
      blocks++;
      rows += examples.length + problems.length - before;
      return examples;
    },
    end() {
      if (rows > 0) return;
      const what = blocks === 0 ? 'the file is empty' : 'there is only a header, expected rows after it';
      throw new UserError('data', `${name}: ${what}`);
    },
  };
}

/**
 * Throws one UserError 'data' for all that is wrong with lines, as readExamples does.
 *
 * @param count how many there are, where only the first ones were kept
 */
export function throwLineProblems(name: string, problems: readonly Problem[], count: number = problems.length): void {
  throwProblems(name, problems, problems.some(({ message }) => message === notUtf8) ? utf8Hint : undefined, count);
}

type BlockExamples = (block: Block, problems: LineProblem[]) => Example[];

/** Plain lines; in pairs, a tab stands between the two texts. */
function lineExamples(name: string, given: boolean | undefined): BlockExamples {
  let pairs = given;
  return (block, problems) => {
    const examples: Example[] = [];
    const found: Problem[] = [];
    decodeLines(block.bytes, name, found).forEach((content, i) => {
      if (content === undefined) return;
      const line = i + 1;
      // A text by itself may hold a tab; where nobody says whether it is one, it is refused.
      const texts = given === false ? [content] : content.split('\t');
      pairs ??= texts.length === 2;
      const [text = '', pair] = texts;
      if (content.trim() === '') found.push({ line, message: 'got an empty line, expected a text' });
      else if (texts.length !== (pairs ? 2 : 1)) found.push({ line, message: wrongTabs(texts.length - 1, pairs) });
      else if (pair === undefined) examples.push({ line, text });
      else if (text.trim() === '' || pair.trim() === '') found.push({ line, message: 'got one text, expected two' });
      else examples.push({ line, text, pair });
    });
    for (const problem of inFile(block, found)) problems.push(problem);
    return inFile(block, examples);
  };
}

function wrongTabs(tabs: number, pairs: boolean): string {
  const got = tabs === 0 ? 'no tab' : tabs === 1 ? 'a tab' : `${tabs} tabs`;
  return `got ${got}, expected ${pairs ? 'two texts with one tab between them' : 'one text, as in the first line'}`;
}

type Table = Extract<UnlabelledLayout, { format: DataFormat }>;

/** The columns of a table, or the keys of objects; a label among them is not looked at. */
function tableExamples(name: string, { format, columns: { text, pair } }: Table, hint: string): BlockExamples {
  const columns: Columns = { text, pair };
  const cellsOf = format === 'jsonl' ? jsonlReader(name, columns) : rowReader(name, format, columns);
  return (block, problems) => {
    const examples: Example[] = [];
    for (const cells of withHint(hint, () => cellsOf(block, problems))) {
      const empty = emptyTexts(cells, columns);
      for (const message of empty) problems.push({ line: cells.line, message });
      if (empty.length > 0) continue;
      const { line, text: first = '', pair: second } = cells;
      examples.push({ line, text: first, ...(second === undefined ? {} : { pair: second }) });
    }
    return examples;
  };
}

/** What is wrong with columns is told with the flags that choose them: the readers' own hints are for task files. */
export function withHint<T>(hint: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof UserError && error.hint?.includes('data.') === true)) throw error;
    throw new UserError(error.kind, error.message, hint);
  }
}

type BlockCells = (block: Block, problems: LineProblem[]) => Cells[];

function jsonlReader(name: string, columns: Columns): BlockCells {
  return (block, problems) => {
    const found: Problem[] = [];
    const cells = jsonlCells(name, decodeLines(block.bytes, name, found), columns, false, found);
    for (const problem of inFile(block, found)) problems.push(problem);
    return inFile(block, cells);
  };
}

/** The first row of all is the header, or says how many columns there are. */
function rowReader(name: string, format: 'tsv' | 'csv', columns: Columns): BlockCells {
  const named = areNames(columns);
  let first: Row | undefined;
  return (block, problems) => {
    const found: Problem[] = [];
    const lines = decodeLines(block.bytes, name, found);
    // Without the header no row can be understood, and what is inside quotes cannot be told where bytes are no text.
    const unreadable = format === 'csv' ? found.length > 0 : named && first === undefined && lines[0] === undefined;
    if (unreadable) throwLineProblems(name, [...problems, ...inFile(block, found)]);
    const rows = inFile(block, format === 'csv' ? csvRows(block.bytes, found) : tsvRows(lines, found));
    for (const problem of inFile(block, found)) {
      // After a wrong quote nobody can tell what is inside quotes.
      problems.push(format === 'csv' && problem.message !== emptyLine ? { ...problem, endsReading: true } : problem);
    }
    const isFirst = first === undefined;
    first ??= rows[0];
    if (first === undefined || (!isFirst && rows.length === 0)) return [];
    const body = isFirst ? rows.slice(1) : rows;
    if (named && body.length === 0) {
      // The header alone, with more to come: read as a row as well, so that it is checked now.
      pickColumns(name, [first, first], columns, false, []);
      return [];
    }
    const cells = pickColumns(name, [first, ...body], columns, false, problems);
    return named || isFirst ? cells : cells.slice(1);
  };
}

/** With the file's line numbers instead of the block's. */
const inFile = <T extends { readonly line: number }>(block: Block, items: readonly T[]): T[] =>
  items.map((item) => ({ ...item, line: item.line + block.line - 1 }));
