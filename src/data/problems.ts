import { UserError } from '../errors.js';

/** One thing wrong with a data file. */
export interface Problem {
  /** Line of the file, from 1. */
  line: number;
  /** `got ..., expected ...` */
  message: string;
}

/** So many are told one by one. */
export const mostShown = 20;

/**
 * Throws one UserError 'data' for all that is wrong with a file, by line: the user mends a file once, not line by line.
 * Returns where there is nothing wrong.
 *
 * @param count how many there are, where only the first ones were kept
 */
export function throwProblems(
  path: string,
  problems: readonly Problem[],
  hint?: string,
  count: number = problems.length,
): void {
  if (problems.length === 0) return;
  const shown = [...problems]
    .sort((a, b) => a.line - b.line)
    .slice(0, mostShown)
    .map(({ line, message }) => `${path}:${line}: ${message}`);
  const rest = count - shown.length;
  throw new UserError('data', [...shown, ...(rest > 0 ? [`... and ${rest} more`] : [])].join('\n'), hint);
}

/** A value as it stands in a message: quoted, control characters visible, and cut when long. */
export const quote = (text: string): string => printable(JSON.stringify(cut(text)));

/** A value of a JSON file as it stands in a message. */
export const quoteJson = (value: unknown): string => printable(cut(JSON.stringify(value)));

const mostQuoted = 40;

function cut(text: string): string {
  const characters = Array.from(text.slice(0, 4 * mostQuoted));
  return characters.length > mostQuoted ? `${characters.slice(0, mostQuoted).join('')}...` : text;
}

const printable = (text: string) =>
  text.replace(/[\u007F-\u009F\u2028\u2029]/gu, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
