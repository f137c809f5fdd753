import { hash } from 'node:crypto';

/** Where a text was seen before. */
export interface Seen {
  /** Which file, by its number. */
  readonly file: number;
  readonly line: number;
  /** False: only after normalization. */
  readonly exact: boolean;
}

/** What a text has in common with those before it. */
export interface Matches {
  /** The first of the same file that it repeats. */
  readonly repeated: Seen | undefined;
  /** The first of each earlier file that it repeats. */
  readonly leaks: readonly Seen[];
  /** Whether this text, as it is spelled, is met in its file for the first time. */
  readonly isFirst: boolean;
  /** One that is the same after normalization and has another label. */
  readonly conflict: (Seen & { readonly label: string }) | undefined;
}

/** Texts by their fingerprints: some 200 bytes for each that differs, however long it is. */
export interface TextIndex {
  /**
   * @param file number of its file, from 0; files come one after the other
   * @param parts a text, or the two of a pair
   * @param label anything by which labels can be told apart; undefined where there is none
   */
  add(file: number, line: number, parts: readonly string[], label: string | undefined): Matches;
}

interface Place {
  readonly file: number;
  readonly line: number;
}

/** One spelling of a text, where it was met first. Spellings that normalization makes equal form a chain. */
interface Spelling extends Place {
  readonly fingerprint: number;
  label: string | undefined;
  readonly next: Spelling | undefined;
  /** Where it was met first in later files. */
  later: Place[] | undefined;
}

const none: Matches = { repeated: undefined, leaks: [], isFirst: true, conflict: undefined };

export function createTextIndex(): TextIndex {
  const chains = new Map<string, Spelling>();
  return {
    add(file, line, parts, label) {
      const key = hash('sha1', parts.map(normalized).join('\0'), 'base64');
      const print = fingerprint(parts);
      const chain = chains.get(key);
      const same = find(chain, (spelling) => spelling.fingerprint === print);
      const matches = chain === undefined ? none : matchesOf(chain, same, file, label);
      if (same === undefined) {
        chains.set(key, { file, line, fingerprint: print, label, next: chain, later: undefined });
      } else {
        same.label ??= label;
        if (placeIn(same, file) === undefined) (same.later ??= []).push({ file, line });
      }
      return matches;
    },
  };
}

/** What may differ in one and the same text: width and form of characters, case, white space. */
export const normalized = (text: string): string => text.normalize('NFKC').toLowerCase().replace(/\s+/gu, '');

/** FNV-1a of UTF-16 units: 32 bits are plenty to tell the few spellings of one text apart. */
function fingerprint(parts: readonly string[]): number {
  let hashed = 0x811c9dc5;
  for (const part of parts) {
    for (let i = 0; i < part.length; i++) hashed = Math.imul(hashed ^ part.charCodeAt(i), 0x01000193);
    hashed = Math.imul(hashed ^ 0x10000, 0x01000193);
  }
  return hashed;
}

function find(chain: Spelling | undefined, wanted: (spelling: Spelling) => boolean): Spelling | undefined {
  let spelling = chain;
  while (spelling !== undefined && !wanted(spelling)) spelling = spelling.next;
  return spelling;
}

const placeIn = (spelling: Spelling, file: number): Place | undefined =>
  spelling.file === file ? spelling : spelling.later?.find((place) => place.file === file);

function matchesOf(chain: Spelling, same: Spelling | undefined, file: number, label: string | undefined): Matches {
  const exactly = (other: number): Place | undefined => (same === undefined ? undefined : placeIn(same, other));
  const seenIn = (other: number): Seen | undefined => {
    const exact = exactly(other);
    if (exact !== undefined) return { file: other, line: exact.line, exact: true };
    const spelling = find(chain, (candidate) => placeIn(candidate, other) !== undefined);
    const near = spelling === undefined ? undefined : placeIn(spelling, other);
    return near === undefined ? undefined : { file: other, line: near.line, exact: false };
  };
  const leaks = Array.from({ length: file }, (_, other) => seenIn(other)).filter((seen) => seen !== undefined);
  return {
    repeated: seenIn(file),
    leaks,
    isFirst: exactly(file) === undefined,
    conflict: conflictOf(chain, same, label),
  };
}

function conflictOf(chain: Spelling, same: Spelling | undefined, label: string | undefined): Matches['conflict'] {
  if (label === undefined) return undefined;
  const other = find(chain, (spelling) => spelling.label !== undefined && spelling.label !== label);
  if (other?.label === undefined) return undefined;
  return { file: other.file, line: other.line, exact: other === same, label: other.label };
}
