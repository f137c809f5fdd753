import { counted, createPlaces, findingOf, type Finding, type Places } from './findings.js';
import type { Matches, Seen, TextIndex } from './text-index.js';

/** Texts of one file that it has twice, or that another file has. */
export interface RepeatCheck {
  /** @param label anything by which labels can be told apart; undefined where there is none */
  look(line: number, parts: readonly string[], label: string | undefined): void;
  readonly findings: () => Finding[];
}

export interface RepeatSettings {
  /** Holds the texts of the files before, too. */
  readonly index: TextIndex;
  /** Paths of the files, by number; the last is the one that is looked at. */
  readonly files: readonly string[];
  /** What a text with its label is called: row, or sentence. */
  readonly unit: string;
  /** Whether labels are short enough to be shown. */
  readonly showsLabels: boolean;
}

interface Leak {
  readonly exact: Places;
  readonly near: Places;
  /** Texts that differ from each other among the exact ones. */
  distinct: number;
}

export function createRepeatCheck({ index, files, unit, showsLabels }: RepeatSettings): RepeatCheck {
  const file = files.length - 1;
  const path = files[file]!;
  const [exact, near, conflicts] = [createPlaces(), createPlaces(), createPlaces()];
  const leaks = files.slice(0, -1).map((): Leak => ({ exact: createPlaces(), near: createPlaces(), distinct: 0 }));
  const placeOf = (seen: Seen): string =>
    seen.file === file ? `line ${seen.line}` : `${files[seen.file]!}:${seen.line}`;
  return {
    look(line, parts, label) {
      const matches = index.add(file, line, parts, label);
      const { repeated, conflict } = matches;
      if (repeated !== undefined) (repeated.exact ? exact : near).add(line, () => `as ${placeOf(repeated)}`);
      addLeaks(leaks, line, matches, placeOf);
      if (conflict === undefined) return;
      conflicts.add(line, () =>
        showsLabels
          ? `label ${label ?? ''}, but ${conflict.label} in ${placeOf(conflict)}`
          : `labels that differ from those in ${placeOf(conflict)}`,
      );
    },
    findings: () => [
      ...findingOf('warning', 'duplicate', path, exact, `${repeat(exact.count, unit)} a text that stands before`),
      ...findingOf('warning', 'near-duplicate', path, near, `${repeat(near.count, unit)} a text before, ${butFor}`),
      ...leaks.flatMap((leak, other) => leakFindings(path, leak, files[other]!, unit)),
      ...findingOf(
        'warning',
        'conflicting-labels',
        path,
        conflicts,
        `${counted(conflicts.count, `${unit} has`, `${unit}s have`)} another label than the same text elsewhere`,
      ),
    ],
  };
}

const butFor = 'but for case, width of characters or white space';

const repeat = (count: number, unit: string): string => counted(count, `${unit} repeats`, `${unit}s repeat`);

function addLeaks(
  leaks: readonly Leak[],
  line: number,
  { leaks: found, isFirst }: Matches,
  placeOf: (seen: Seen) => string,
): void {
  for (const seen of found) {
    const leak = leaks[seen.file]!;
    (seen.exact ? leak.exact : leak.near).add(line, () => `as ${placeOf(seen)}`);
    if (seen.exact && isFirst) leak.distinct++;
  }
}

function leakFindings(path: string, { exact, near, distinct }: Leak, other: string, unit: string): Finding[] {
  const texts = `${counted(distinct, 'text', 'texts')} (${counted(exact.count, unit, `${unit}s`)})`;
  const nearTexts = counted(near.count, unit, `${unit}s`);
  return [
    ...findingOf('warning', 'leak', path, exact, `${texts} also in ${other}`),
    ...findingOf('warning', 'near-leak', path, near, `${nearTexts} also in ${other}, ${butFor}`),
  ];
}
