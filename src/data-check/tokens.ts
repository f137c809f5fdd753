import type { Tokenizer } from '../tokenization/tokenizer.js';
import { formatCount } from '../ui/format.js';
import { counted, createPlaces, findingOf, percent, type Finding, type Places } from './findings.js';
import { visible } from './encoding.js';
import { createCauses, unlimited, type Causes } from './unknown-causes.js';

/** How the texts of one file stand to the tokenizer; as it is written into the JSON report. */
export interface TokenStatistics {
  /** Texts (or pairs) that were tokenized: all, or of a large file a sample, to which the numbers below belong. */
  readonly texts: number;
  /** One of so many texts was tokenized: 1 where all were. */
  readonly every: number;
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
  /** The same of a sentence in words. Returns how many tokens each has; undefined where it is not in the sample. */
  lookAtWords(line: number, words: readonly string[]): number[] | undefined;
  /** Undefined where there was no text. */
  readonly statistics: () => TokenStatistics | undefined;
  readonly findings: () => Finding[];
}

export interface TokenSettings {
  readonly file: string;
  readonly tokenizer: Tokenizer;
  /** Tokens of an example, special ones included. */
  readonly maxLength: number;
  /** Whether what is too long is read in several windows instead of being cut. */
  readonly inWindows: boolean;
  /** One of so many texts is looked at: see sampleStep. */
  readonly every: number;
}

/** That much text is tokenized in less than half a minute; a sample of that size is as telling as a larger one. */
const mostCharacters = 48_000_000;

/** One of how many texts to tokenize, so that a check of a large file comes to its end soon. */
export const sampleStep = (characters: number): number => Math.max(1, Math.ceil(characters / mostCharacters));

const mostWorst = 10;

/** A share below which a few long texts, or a few rare characters, are no mistake. */
const [toleratedTruncated, toleratedUnknown] = [0.01, 0.01];

export function createTokenCheck(settings: TokenSettings): TokenCheck {
  const { tokenizer, maxLength, every } = settings;
  const tally: Tally = {
    lengths: new Map(),
    long: createPlaces(),
    unknown: createPlaces(),
    causes: createCauses(tokenizer),
    texts: 0,
    tokens: 0,
    unknownTokens: 0,
  };
  const specials = [tokenizer.encode('', undefined, unlimited), tokenizer.encode('', '', unlimited)] as const;
  let seen = 0;
  const isSampled = (): boolean => seen++ % every === 0;
  const record = (line: number, length: number, specialTokens: number): void => {
    tally.texts++;
    tally.tokens += length - specialTokens;
    tally.lengths.set(length, (tally.lengths.get(length) ?? 0) + 1);
    if (length <= maxLength) return;
    tally.long.add(line, () => `${counted(length, 'token', 'tokens')}, ${formatCount(length - maxLength)} too many`);
  };
  const recordUnknown = (line: number, count: number, length: number, parts: readonly string[]): void => {
    if (count === 0) return;
    tally.unknownTokens += count;
    const found = tally.causes.of(parts);
    tally.unknown.add(line, () => `${count} of ${length}: ${found.slice(0, mostWorst).map(visible).join(' ')}`);
  };
  return {
    look(line, text, pair) {
      if (!isSampled()) return;
      const { inputIds } = tokenizer.encode(text, pair, unlimited);
      record(line, inputIds.length, specials[pair === undefined ? 0 : 1].inputIds.length);
      const parts = pair === undefined ? [text] : [text, pair];
      recordUnknown(line, countOf(inputIds, tokenizer.unkTokenId), inputIds.length, parts);
    },
    lookAtWords(line, words) {
      if (!isSampled()) return undefined;
      const ids = tokenizer.wordIds(words);
      const sizes = ids.map((tokensOfWord) => tokensOfWord.length);
      const specialTokens = specials[0].inputIds.length;
      const length = sizes.reduce((sum, size) => sum + size, specialTokens);
      record(line, length, specialTokens);
      const count = ids.reduce((sum, list) => sum + countOf(list, tokenizer.unkTokenId), 0);
      const unknownWords = words.filter((_, i) => ids[i]!.includes(tokenizer.unkTokenId));
      recordUnknown(line, count, length, unknownWords);
      return sizes;
    },
    statistics: () => (tally.texts === 0 ? undefined : statisticsOf(tally, settings)),
    findings: () => [...lengthFindings(tally, settings), ...unknownFindings(tally, settings)],
  };
}

interface Tally {
  /** How many texts have so many tokens. */
  readonly lengths: Map<number, number>;
  readonly long: Places;
  readonly unknown: Places;
  readonly causes: Causes;
  texts: number;
  tokens: number;
  unknownTokens: number;
}

const statisticsOf = (tally: Tally, { maxLength, every }: TokenSettings): TokenStatistics => ({
  texts: tally.texts,
  every,
  ...percentiles(tally.lengths, tally.texts),
  max_length: maxLength,
  truncated: tally.long.count,
  tokens: tally.tokens,
  unknown: tally.unknownTokens,
  unknown_characters: tally.causes.worst(mostWorst),
});

function lengthFindings({ long, texts }: Tally, settings: TokenSettings): Finding[] {
  const { file, maxLength, inWindows } = settings;
  const what = inWindows ? 'read in overlapping windows, having more than' : 'cut to';
  const message =
    `${counted(long.count, 'text is', 'texts are')} ${what} ${formatCount(maxLength)} tokens (model.max_length), ` +
    `${percent(long.count, texts)} of all${ofSample(texts, settings)}`;
  const isMuch = !inWindows && long.count > toleratedTruncated * texts;
  return findingOf(isMuch ? 'warning' : 'note', inWindows ? 'windowed' : 'truncated', file, long, message);
}

function unknownFindings({ unknown, tokens, unknownTokens, texts, causes }: Tally, settings: TokenSettings): Finding[] {
  const worst = causes.worst(mostWorst).map(({ text, count }) => `${visible(text)} (${formatCount(count)})`);
  const message =
    `${counted(unknown.count, 'text has', 'texts have')} tokens that the vocabulary lacks, ` +
    `${percent(unknownTokens, tokens)} of all tokens${ofSample(texts, settings)}; most often ${worst.join(', ')}`;
  const severity = unknownTokens > toleratedUnknown * tokens ? 'warning' : 'note';
  return findingOf(severity, 'unknown-token', settings.file, unknown, message);
}

const ofSample = (texts: number, { every }: TokenSettings): string =>
  every === 1 ? '' : ` in a sample of ${formatCount(texts)} texts`;

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
