import { attr } from '../../graph/node.js';
import type { AddedToken } from '../../tokenization/added-tokens.js';
import { hangul, rules, type Character, type CharacterRules } from './characters.js';
import type { NodeBuilder, Value } from './node-builder.js';

/**
 * Texts as the characters that their words are made of. Letters: R texts, N code points of all texts, M characters of all
 * normalized texts.
 */
export interface Elements {
  /** M, int32 scalar. */
  readonly count: Value;
  /** Code points, or the ids of added tokens: int32 [M]. */
  readonly values: Value;
  /** Bool [M]: a word by itself; a blank, which is no word; an added token, which is alone. */
  readonly isAlone: Value;
  readonly isBlank: Value;
  readonly isAdded: Value;
  /** The text of each, int32 [M]. */
  readonly rows: Value;
  /** Where the elements of each text begin, and the end: int32 [R + 1]. */
  readonly rowSplits: Value;
  /** The code point that each comes from, int32 [M]. */
  readonly sources: Value;
  /** Where code points, or whole added tokens, begin and end in their text, counted in its code points: int32 [N]. */
  readonly begins: Value;
  readonly ends: Value;
  /** The code points of all texts, int32 [N]: as they are decoded, with the marks around added tokens where there are any. */
  readonly codePoints: Value;
  /** Where those of each text begin, and the end: int32 [R + 1]. */
  readonly codePointSplits: Value;
}

const flags = { alone: 1 << 21, blank: 1 << 22, added: 1 << 23 } as const;
const codePointMask = (1 << 21) - 1;

/**
 * @param texts UTF-8, [R]; what is none is U+FFFD, which the normalizer removes
 * @param added tokens that are found in a text before all else
 */
export function elementsOf(
  g: NodeBuilder,
  texts: Value,
  added: readonly AddedToken[],
  characters: CharacterRules,
): Elements {
  const marked = added.length === 0 ? texts : markAddedTokens(g, texts, added);
  const decodeAttrs = {
    input_encoding: attr.string('UTF-8'),
    errors: attr.string('replace'),
    replacement_char: attr.int(0xfffd),
    replace_control_characters: attr.bool(false),
    Tsplits: attr.type('int64'),
  };
  const [splits, codePoints] = g.addAll('UnicodeDecode', [marked], decodeAttrs, ['int64', 'int32']);
  const codePointSplits = g.cast(splits!, 'int32');
  const numbers = codePointNumbers(g, codePoints!, characters.numbers);
  const found =
    added.length === 0
      ? withoutAddedTokens(g, codePoints!, numbers)
      : withAddedTokens(g, codePoints!, numbers, added, characters);
  const { values, starts } = expanded(g, found.codePoints, found.numbers, characters);
  const count = g.size(values);
  const rowSplits = g.gather(starts, codePointSplits);
  const hasFlag = (flag: number): Value => g.isMore(g.bitAnd(values, flag), 0);
  const codePointRows = g.minus(numbersOfSegments(g, codePointSplits, g.size(codePoints!)), 1);
  const origins = g.gather(g.gather(found.places, codePointSplits), codePointRows);
  return {
    count,
    values: g.bitAnd(values, codePointMask),
    isAlone: hasFlag(flags.alone),
    isBlank: hasFlag(flags.blank),
    isAdded: hasFlag(flags.added),
    rows: g.minus(numbersOfSegments(g, rowSplits, count), 1),
    rowSplits,
    sources: g.minus(numbersOfSegments(g, starts, count), 1),
    begins: g.minus(g.slice(found.places, 0, -1), origins),
    ends: g.minus(g.gather(found.places, found.lasts), origins),
    codePoints: codePoints!,
    codePointSplits,
  };
}

/** Code points with their rules. */
interface Found {
  readonly codePoints: Value;
  readonly numbers: Value;
  /** The place of each in all texts one after the other, without marks, and the end: [N + 1]. */
  readonly places: Value;
  /** Behind the last code point that belongs to each, [N]. */
  readonly lasts: Value;
}

function withoutAddedTokens(g: NodeBuilder, codePoints: Value, numbers: Value): Found {
  const places = g.range(g.plus(g.size(codePoints), 1));
  return { codePoints, numbers, places, lasts: g.slice(places, 1, undefined) };
}

/** For each of `count` elements, how many segments have begun. @param splits where segments begin, and the end */
export function numbersOfSegments(g: NodeBuilder, splits: Value, count: Value): Value {
  const starts = g.slice(splits, 0, -1);
  // One more for empty segments at the end, which begin behind the last element.
  const begun = g.segmentSum(g.fill(g.size(starts), 1), starts, g.plus(count, 1));
  return g.sums(g.slice(begun, 0, -1), false);
}

// Characters that the normalizer removes: the one stands around added tokens, for the other in the text itself.
const [mark, markInText] = ['\0', '\u0001'];

/** Puts a mark before and behind each added token: the leftmost is taken first, the longest of those that begin there. */
function markAddedTokens(g: NodeBuilder, texts: Value, added: readonly AddedToken[]): Value {
  const replace = (input: Value, pattern: string, rewrite: string): Value => {
    const attrs = { pattern: attr.string(pattern), rewrite: attr.string(rewrite), replace_global: attr.bool(true) };
    return g.add('StaticRegexReplace', [input], attrs, 'string');
  };
  const longestFirst = added.map(({ content }) => content).sort((a, b) => b.length - a.length);
  const pattern = longestFirst.map((content) => content.replace(/[^\p{L}\p{N}]/gu, escaped)).join('|');
  return replace(replace(texts, '\\x00', markInText), pattern, `${mark}\\0${mark}`);
}

/** As RE2 spells any character. */
const escaped = (character: string): string => `\\x{${character.codePointAt(0)!.toString(16)}}`;

/**
 * A number for each code point, int32 [N]. The table has two levels: blocks of code points that have the same numbers are one.
 *
 * @param numbers those of all code points
 */
export function codePointNumbers(g: NodeBuilder, codePoints: Value, numbers: Uint16Array): Value {
  const bits = 6;
  const size = 1 << bits;
  const blocks = new Map<string, number>();
  const blockNumbers = new Uint16Array(numbers.length / size);
  const contents: Uint16Array[] = [];
  for (let block = 0; block < blockNumbers.length; block++) {
    const content = numbers.subarray(block * size, (block + 1) * size);
    const key = content.join();
    const number = blocks.get(key) ?? contents.push(content) - 1;
    blocks.set(key, number);
    blockNumbers[block] = number;
  }
  const table = new Uint16Array(contents.length * size);
  contents.forEach((content, i) => {
    table.set(content, i * size);
  });
  const first = g.constant('uint16', [blockNumbers.length], blockNumbers);
  const second = g.constant('uint16', [table.length], table);
  const block = g.cast(g.gather(first, g.shiftRight(codePoints, bits)), 'int32');
  const place = g.plus(g.times(block, size), g.bitAnd(codePoints, size - 1));
  return g.cast(g.gather(second, place), 'int32');
}

/** The rule of an added token, behind those of characters: its id takes the place of the code point. */
const ruleOfAdded = ({ others }: CharacterRules): number => rules.others + others.length;

/** Makes one element of what stands between two marks. */
function withAddedTokens(
  g: NodeBuilder,
  codePoints: Value,
  numbers: Value,
  added: readonly AddedToken[],
  characters: CharacterRules,
): Found {
  const isMark = g.isEqual(codePoints, 0);
  const marksUpTo = g.sums(g.cast(isMark, 'int32'), false);
  const isOpen = g.isEqual(g.bitAnd(marksUpTo, 1), 1);
  const plain = g.select(g.or(isMark, isOpen), rules.removed, numbers);
  const marks = g.places(isMark);
  const [begins, ends] = [g.slice(marks, 0, undefined, 2), g.slice(marks, 1, undefined, 2)];
  const inside = g.ranges(g.plus(begins, 1), ends);
  const spellings = encoded(g, g.gather(codePoints, inside.values), inside.splits);
  const tokens = g.strings(added.map(({ content }) => content));
  const isToken = g.cast(g.isEqual(g.expand(spellings, 1), tokens), 'int32'); // [found, tokens]
  const ids = g.sum(g.times(isToken, g.ints(added.map(({ id }) => id))), 1);
  const rule = g.fill(g.size(begins), ruleOfAdded(characters));
  const { places, lasts } = withoutAddedTokens(g, codePoints, numbers);
  return {
    codePoints: g.updated(codePoints, begins, ids),
    numbers: g.updated(plain, begins, rule),
    places: g.minus(places, g.concat(g.ints([0]), marksUpTo)),
    lasts: g.updated(lasts, begins, ends),
  };
}

/** Code points [n] as UTF-8, a string for each segment. */
export function encoded(g: NodeBuilder, codePoints: Value, splits: Value): Value {
  const attrs = {
    output_encoding: attr.string('UTF-8'),
    errors: attr.string('replace'),
    replacement_char: attr.int(0xfffd),
    Tsplits: attr.type('int32'),
  };
  return g.add('UnicodeEncode', [codePoints, splits], attrs, 'string');
}

const flagged = ({ codePoint, kind }: Character): number => codePoint | (kind === 'joined' ? 0 : flags[kind]);

/**
 * What each code point becomes by its rule, one after the other, and where that of each begins, [N + 1].
 *
 * What a code point becomes is a range of numbers: those below `direct` are places in a pool of characters, then come
 * characters themselves with their flags, then the letters of Hangul's syllables, three for each.
 */
function expanded(
  g: NodeBuilder,
  codePoints: Value,
  numbers: Value,
  characters: CharacterRules,
): { values: Value; starts: Value } {
  const pool = characters.others.flat().map(flagged);
  const direct = pool.length;
  const syllables = direct + (1 << 24);
  const atSyllable = syllables - 3 * hangul.syllables;
  let used = 0;
  // By rule: the first number is `first + step * codePoint`.
  const table = [
    { first: direct, step: 1, count: 1 },
    { first: direct + flags.alone, step: 1, count: 1 },
    { first: direct + flags.blank, step: 0, count: 1 },
    { first: 0, step: 0, count: 0 },
    { first: atSyllable, step: 3, count: 3 },
    { first: atSyllable, step: 3, count: 2 },
    ...characters.others.map(({ length: count }) => ({ first: (used += count) - count, step: 0, count })),
    { first: direct + flags.alone + flags.added, step: 1, count: 1 },
  ];
  const column = (of: (row: (typeof table)[number]) => number): Value => g.gather(g.ints(table.map(of)), numbers);
  const first = g.plus(
    column((row) => row.first),
    g.times(
      column((row) => row.step),
      codePoints,
    ),
  );
  const { values: places, splits: starts } = g.ranges(
    first,
    g.plus(
      first,
      column((row) => row.count),
    ),
  );
  const pooled = g.gather(g.ints(pool), g.smaller(places, direct - 1));
  const values = g.select(g.isLess(places, direct), pooled, g.minus(places, direct));
  const letters = g.minus(places, syllables);
  return { values: g.select(g.isLess(letters, 0), values, syllableLetters(g, letters)), starts };
}

/** @param places 3 * (number of a syllable) + (0, 1 or 2: which of its letters) */
function syllableLetters(g: NodeBuilder, places: Value): Value {
  const [syllable, letter] = [g.quotient(places, 3), g.remainder(places, 3)];
  const { leading, vowels, beforeTrailing, vowelCount, trailingCount } = hangul;
  const vowel = g.remainder(g.quotient(syllable, trailingCount), vowelCount);
  return g.select(
    g.isEqual(letter, 0),
    g.plus(g.quotient(syllable, vowelCount * trailingCount), leading),
    g.select(g.isEqual(letter, 1), g.plus(vowel, vowels), g.plus(g.remainder(syllable, trailingCount), beforeTrailing)),
  );
}
