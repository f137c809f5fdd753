import type { Problem } from './problems.js';

/** One record of a TSV or CSV file. */
export interface Row {
  /** Where it starts in the file, from 1. */
  line: number;
  fields: string[];
}

export const emptyLine = 'got an empty line, expected a row';

/** Rows of a TSV file: split at every tab, and a quote is a character like any other. */
export function tsvRows(lines: readonly (string | undefined)[], problems: Problem[]): Row[] {
  const rows: Row[] = [];
  lines.forEach((text, i) => {
    if (text === undefined) return;
    if (text === '') problems.push({ line: i + 1, message: emptyLine });
    else rows.push({ line: i + 1, fields: text.split('\t') });
  });
  return rows;
}
