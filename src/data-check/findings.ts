import { formatCount } from '../ui/format.js';

/** An error keeps a task from being trained; a warning is likely a mistake; a note is worth knowing. */
export type Severity = 'error' | 'warning' | 'note';

export type FindingKind =
  | 'unreadable-file'
  | 'not-utf8'
  | 'bad-line'
  | 'empty-text'
  | 'missing-label'
  | 'unknown-label'
  | 'bad-label'
  | 'one-label'
  | 'no-labels'
  | 'label-without-example'
  | 'rare-label'
  | 'duplicate'
  | 'near-duplicate'
  | 'leak'
  | 'near-leak'
  | 'conflicting-labels'
  | 'truncated'
  | 'windowed'
  | 'unknown-token'
  | 'broken-tags'
  | 'cut-entity'
  | 'entity-beyond'
  | 'byte-order-mark'
  | 'carriage-return'
  | 'replacement-character'
  | 'control-character'
  | 'mixed-normal-forms'
  | 'tokens-not-checked';

/** One line that a finding is about. */
export interface Place {
  /** Line of the file, from 1. */
  readonly line: number;
  /** What there is to say about this line. */
  readonly message: string;
}

/** One kind of trouble in one file. */
export interface Finding {
  readonly severity: Severity;
  readonly kind: FindingKind;
  /** Absolute; undefined for what concerns no file. */
  readonly file: string | undefined;
  readonly message: string;
  /** How many lines it is about; 0 for a file as a whole. */
  readonly count: number;
  /** The first of these lines. */
  readonly lines: readonly Place[];
}

/** Lines that have the same trouble: the first of them, and how many they are. */
export interface Places {
  readonly count: number;
  readonly first: readonly Place[];
  /** Lines have to come in the order of the file. @param message made only for a line that is kept */
  add(line: number, message: () => string): void;
}

const mostKept = 20;

export function createPlaces(): Places {
  let count = 0;
  const first: Place[] = [];
  return {
    get count() {
      return count;
    },
    first,
    add(line, message) {
      count++;
      if (first.length < mostKept) first.push({ line, message: message() });
    },
  };
}

/** A finding about lines; none where there are no such lines. */
export function findingOf(
  severity: Severity,
  kind: FindingKind,
  file: string,
  { count, first }: Places,
  message: string,
): Finding[] {
  return count === 0 ? [] : [{ severity, kind, file, message, count, lines: first }];
}

/** counted(1, 'row is', 'rows are') -> "1 row is" */
export const counted = (count: number, one: string, many: string): string =>
  `${formatCount(count)} ${count === 1 ? one : many}`;

/** 0.0447 -> "4.47 %"; never "0.00 %" for what is more than nothing. */
export function percent(part: number, whole: number): string {
  if (part === 0 || whole === 0) return '0 %';
  const share = (100 * part) / whole;
  return share < 0.01 ? 'less than 0.01 %' : `${Number(share.toPrecision(3))} %`;
}
