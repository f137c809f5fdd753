import type { Tokenizer } from '../tokenization/tokenizer.js';
import { counted, createPlaces, findingOf, percent, type Finding } from './findings.js';
import { visible } from './encoding.js';

/** How the texts of one file stand to the tokenizer; as it is written into the JSON report. */
export interface TokenStatistics {
  /** Texts (or pairs) that were tokenized: all, or a sample. */
  readonly texts: number;
  /** Tokens of a text, special ones included: half of the texts have at most p50. */
  readonly p50: number;
  readonly p95: number;
  readonly max: number;
  readonly max_length: number;
  /** Texts with more tokens than max_length. */
  readonly truncated: number;
  /** All tokens but the special ones. */
  readonly tokens: number;
  /** Those among them that are [UNK]. */
  readonly unknown: number;
  /** What is unknown most often: characters, or words whose characters are known. */
  readonly unknown_characters: readonly { readonly text: string; readonly count: number }[];
}

export interface TokenCheck {
  look(line: number, text: string, pair: string | undefined): void;
  /** The same of a sentence that is given in words. Returns how many tokens each word has. */
  lookAtWords(line: number, words: readonly string[]): number[];
  /** Undefined where there was no text. */
  readonly statistics: () => TokenStatistics | undefined;
  readonly findings: () => Finding[];
}

/** More than any text has: nothing is cut. */
export const unlimited = 2 ** 30;

const mostWorst = 10;

/** A share below which a few long texts, or a few rare characters, are no mistake. */
const [toleratedTruncated, toleratedUnknown] = [0.01, 0.01];

/** @param inWindows whether what is too long is read in several windows instead of being cut */
export function createTokenCheck(
  file: string,
  tokenizer: Tokenizer,
  maxLength: number,
  inWindows: boolean,
): TokenCheck {
  const longer = inWindows ? 'read in overlapping windows, having more than' : 'cut to';
  const lengths = new Map<number, number>();
  const long = createPlaces();
  const unknown = createPlaces();
  const causes = createCauses(tokenizer);
  const specials = [tokenizer.encode('', undefined, unlimited), tokenizer.encode('', '', unlimited)] as const;
  let [texts, tokens, unknownTokens] = [0, 0, 0];
  const record = (line: number, length: number, specialTokens: number): void => {
    texts++;
    tokens += length - specialTokens;
    lengths.set(length, (lengths.get(length) ?? 0) + 1);
    if (length > maxLength)
      long.add(line, () => `${counted(length, 'token', 'tokens')}, ${length - maxLength} too many`);
  };
  const recordUnknown = (line: number, count: number, length: number, parts: readonly string[]): void => {
    if (count === 0) return;
    unknownTokens += count;
    const found = causes.of(parts);
    unknown.add(line, () => `${count} of ${length}: ${found.slice(0, mostWorst).map(visible).join(' ')}`);
  };
  return {
    look(line, text, pair) {
      const { inputIds } = tokenizer.encode(text, pair, unlimited);
      record(line, inputIds.length, specials[pair === undefined ? 0 : 1].inputIds.length);
      const parts = pair === undefined ? [text] : [text, pair];
      recordUnknown(line, countOf(inputIds, tokenizer.unkTokenId), inputIds.length, parts);
    },
    lookAtWords(line, words) {
      const ids = tokenizer.wordIds(words);
      const sizes = ids.map((tokensOfWord) => tokensOfWord.length);
      const length = sizes.reduce((sum, size) => sum + size, 0) + specials[0].inputIds.length;
      record(line, length, specials[0].inputIds.length);
      const unknownWords = words.filter((_, i) => ids[i]!.includes(tokenizer.unkTokenId));
      const count = ids.reduce((sum, list) => sum + countOf(list, tokenizer.unkTokenId), 0);
      recordUnknown(line, count, length, unknownWords);
      return sizes;
    },
    statistics: () =>
      texts === 0
        ? undefined
        : {
            texts,
            ...percentiles(lengths, texts),
            max_length: maxLength,
            truncated: long.count,
            tokens,
            unknown: unknownTokens,
            unknown_characters: causes.worst(mostWorst),
          },
    findings: () => [
      ...findingOf(
        !inWindows && long.count > toleratedTruncated * texts ? 'warning' : 'note',
        inWindows ? 'windowed' : 'truncated',
        file,
        long,
        `${counted(long.count, 'text is', 'texts are')} ${longer} ${maxLength} tokens (model.max_length), ` +
          `${percent(long.count, texts)} of all`,
      ),
      ...findingOf(
        unknownTokens > toleratedUnknown * tokens ? 'warning' : 'note',
        'unknown-token',
        file,
        unknown,
        `${counted(unknown.count, 'text has', 'texts have')} tokens that the vocabulary lacks, ` +
          `${percent(unknownTokens, tokens)} of all tokens; most often ` +
          causes
            .worst(mostWorst)
            .map(({ text, count }) => `${visible(text)} (${count})`)
            .join(', '),
      ),
    ],
  };
}

const countOf = (ids: readonly number[], wanted: number): number => {
  let count = 0;
  for (const id of ids) if (id === wanted) count++;
  return count;
};

/** Nearest-rank percentiles. */
function percentiles(lengths: ReadonlyMap<number, number>, total: number): { p50: number; p95: number; max: number } {
  const sorted = [...lengths].sort(([a], [b]) => a - b);
  const at = (share: number): number => {
    let seen = 0;
    for (const [length, count] of sorted) {
      seen += count;
      if (seen >= share * total) return length;
    }
    return 0;
  };
  return { p50: at(0.5), p95: at(0.95), max: at(1) };
}

interface Causes {
  /** What in some texts is unknown. */
  of(texts: readonly string[]): string[];
  worst(most: number): { text: string; count: number }[];
}

/**
 * Finds what makes tokens unknown: characters that are unknown by themselves, else the words around blanks. Asked of each
 * character once, so a million texts are no trouble.
 */
function createCauses(tokenizer: Tokenizer): Causes {
  const known = new Map<string, boolean>();
  const counts = new Map<string, number>();
  const isUnknown = (part: string): boolean => {
    const before = known.get(part);
    if (before !== undefined) return before;
    const found = tokenizer.encode(part, undefined, unlimited).inputIds.includes(tokenizer.unkTokenId);
    known.set(part, found);
    return found;
  };
  return {
    of(texts) {
      const whole = texts.join(' ');
      const characters = Array.from(whole).filter(isUnknown);
      const found = characters.length > 0 ? characters : whole.split(/\s+/u).filter(isUnknown);
      for (const cause of found) counts.set(cause, (counts.get(cause) ?? 0) + 1);
      return [...new Set(found)];
    },
    worst: (most) =>
      [...counts]
        .sort(([, a], [, b]) => b - a)
        .slice(0, most)
        .map(([text, count]) => ({ text, count })),
  };
}
