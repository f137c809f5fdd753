import { areNames, pickColumns, type Cells, type Columns } from '../data/columns.js';
import { csvRows } from '../data/csv.js';
import type { DataFormat } from '../data/format.js';
import { jsonlCells } from '../data/jsonl.js';
import { decodeLines } from '../data/lines.js';
import type { Problem } from '../data/problems.js';
import { tsvRows } from '../data/table.js';

export interface RowOptions {
  readonly format: DataFormat;
  readonly columns: Columns;
  readonly requireLabels: boolean;
  /** Whether labels are lists, in JSONL. */
  readonly takesLists: boolean;
}

/**
 * The rows of a data file as readExamples reads them, but for bad lines: those are left out, and the others are there
 * to be checked.
 *
 * @param problems gets an entry for each bad line
 * @throws UserError 'data' where the file as a whole cannot be understood
 */
export function readRows(bytes: Uint8Array, path: string, options: RowOptions, problems: Problem[]): Cells[] {
  const { format, columns, requireLabels, takesLists } = options;
  const lines = decodeLines(bytes, path, problems);
  switch (format) {
    case 'jsonl':
      return jsonlCells(path, lines, columns, requireLabels, problems, takesLists);
    case 'csv':
      // A quoted field may span a line that is not UTF-8, so there is no going on without it.
      if (problems.length > 0) return [];
      return pickColumns(path, csvRows(bytes, problems), columns, requireLabels, problems);
    case 'tsv':
      // Without its header no row of the file can be understood.
      if (areNames(columns) && lines[0] === undefined) return [];
      return pickColumns(path, tsvRows(lines, problems), columns, requireLabels, problems);
  }
}
