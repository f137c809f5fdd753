import { attr } from '../../graph/node.js';
import { encoded, numbersOfSegments, type Elements } from './elements.js';
import type { NodeBuilder, Value } from './node-builder.js';
import type { VocabularyTable } from './vocabulary.js';

/**
 * WordPiece (Devlin et al. 2019; Wu et al. 2016, section 4.1): the longest token that a word begins with, then the longest
 * that its rest begins with, and so on; where there is none the whole word is unknown. Letters: R texts, M elements, W
 * words, P characters of words that are no tokens themselves, K parts of those words, T tokens of all texts.
 */

export interface WordPieceSettings {
  readonly unknownId: number;
  /** What tokens within a word begin with. */
  readonly continuation: string;
  /** A word with more characters is unknown. */
  readonly mostCharacters: number;
  /** Characters of the longest token. */
  readonly longestToken: number;
}

/** The tokens of all texts, one after the other. */
export interface Tokens {
  readonly ids: Value; // [T]
  /** How many of each text, [R]. */
  readonly counts: Value;
  /** Where each begins and ends in its text, in code points: [T]. */
  readonly begins: Value;
  readonly ends: Value;
  /** Whether it is the first of what has a label, int32 [T]. */
  readonly isFirst: Value;
}

/**
 * @param mostWords of a text: more are not looked at, because they would be cut off; undefined: all are
 * @param isNew where something begins that is a text by itself, as far as words go, and has one label: bool [M]; undefined:
 *   only where texts do, and words have labels
 */
export function wordPieceTokens(
  g: NodeBuilder,
  elements: Elements,
  table: VocabularyTable,
  settings: WordPieceSettings,
  mostWords: number | undefined,
  isNew: Value | undefined,
): Tokens {
  const { sources } = elements;
  const words = wordsOf(g, elements, mostWords, isNew);
  const spelled = spelling(g, elements);
  const wholeIds = table.idsOf(spelled(words.starts, words.ends));
  const isAdded = g.gather(elements.isAdded, words.starts);
  const lengths = g.minus(words.ends, words.starts);
  const isHopeless = g.or(g.isMore(lengths, settings.mostCharacters), g.isEqual(lengths, 1));
  const isInParts = g.and(g.isLess(wholeIds, 0), g.not(g.or(isHopeless, isAdded)));
  const known = g.select(
    g.or(g.isMore(lengths, settings.mostCharacters), g.isLess(wholeIds, 0)),
    settings.unknownId,
    wholeIds,
  );
  const firstIds = g.select(isInParts, -1, g.select(isAdded, g.gather(elements.values, words.starts), known));
  const whole = g.updated(g.fill(elements.count, -1), words.starts, firstIds); // [M], -1: no token begins there
  const broken = g.places(isInParts);
  const parts = wordParts(
    g,
    { starts: g.gather(words.starts, broken), ends: g.gather(words.ends, broken) },
    spelled,
    table,
    settings,
  );
  const all = g.updated(whole, parts.places, parts.ids);
  const places = g.places(g.isAtLeast(all, 0));
  const rows = g.gather(elements.rows, places);
  const texts = g.minus(g.size(elements.rowSplits), 1);
  const zeros = g.fill(elements.count, 0);
  const ends = g.updated(g.updated(zeros, words.starts, words.ends), parts.places, parts.ends);
  const lastElements = g.minus(g.gather(ends, places), 1);
  const isWord = g.updated(zeros, words.starts, g.fill(g.size(words.starts), 1));
  return {
    ids: g.gather(all, places),
    counts: g.segmentSum(g.fill(g.size(places), 1), rows, texts),
    begins: g.gather(elements.begins, g.gather(sources, places)),
    ends: g.gather(elements.ends, g.gather(sources, lastElements)),
    isFirst: g.gather(isNew === undefined ? isWord : g.cast(isNew, 'int32'), places),
  };
}

/** Elements from `starts` to before `ends`. */
interface Spans {
  readonly starts: Value;
  readonly ends: Value;
}

/** The words of all texts: what stands between blanks, and what is alone. @param isNew where words begin in any case, [M] */
function wordsOf(
  g: NodeBuilder,
  { isAlone, isBlank, rows, rowSplits }: Elements,
  mostWords: number | undefined,
  isNew: Value | undefined,
): Spans {
  const [yes, no] = [true, false].map((value) => g.constant('bool', [1], Uint8Array.of(Number(value))));
  const before = (first: Value, flags: Value): Value => g.slice(g.concat(first, flags), 0, -1);
  const textBegins = g.not(g.isEqual(rows, g.slice(g.concat(g.ints([-1]), rows), 0, -1)));
  const usual = g.or(g.or(isAlone, before(no!, isAlone)), g.or(before(yes!, isBlank), textBegins));
  const breaks = isNew === undefined ? usual : g.or(usual, isNew);
  const isVisible = g.not(isBlank);
  const begins = g.and(breaks, isVisible);
  const numbers = g.sums(g.cast(begins, 'int32'), false); // of words, from 1
  const starts = g.places(begins);
  const lengths = g.segmentSum(g.cast(isVisible, 'int32'), g.minus(numbers, 1), g.size(starts));
  if (mostWords === undefined) return { starts, ends: g.plus(starts, lengths) };
  // The words before each text; one element more, for texts at the end that are empty.
  const wordsBefore = g.gather(g.concat(g.ints([0]), numbers), rowSplits);
  const ranks = g.minus(g.range(g.size(starts)), g.gather(wordsBefore, g.gather(rows, starts)));
  const kept = g.places(g.isLess(ranks, mostWords));
  const keptStarts = g.gather(starts, kept);
  return { starts: keptStarts, ends: g.plus(keptStarts, g.gather(lengths, kept)) };
}

/** Gives the UTF-8 of any spans of elements, at the price of copying their bytes. */
function spelling(g: NodeBuilder, { count, values, isAdded }: Elements): (starts: Value, ends: Value) => Value {
  // An added token's id may be no code point.
  const codePoints = g.select(isAdded, 0x20, values);
  const all = g.reshape(encoded(g, codePoints, g.concat(g.ints([0]), g.reshape(count, [1]))), []);
  const from = (least: number): Value => g.cast(g.isAtLeast(codePoints, least), 'int32');
  const sizes = g.plus(g.plus(g.plus(from(0), from(0x80)), from(0x800)), from(0x10000)); // UTF-8's bytes of each
  const offsets = g.concat(g.ints([0]), g.sums(sizes, false)); // [M + 1]
  return (starts, ends) => {
    const begin = g.gather(offsets, starts);
    const length = g.minus(g.gather(offsets, ends), begin);
    return g.add('Substr', [all, begin, length], { T: attr.type('int32'), unit: attr.string('BYTE') }, 'string');
  };
}

/**
 * The tokens of words that are none themselves. All parts of a word that could be a token are looked up at once; then the
 * tokens are followed from the word's beginning, all words at the same time.
 *
 * @returns the elements that may begin a token [P], and its id; -1 where none begins; and where it ends
 */
function wordParts(
  g: NodeBuilder,
  words: Spans,
  spelled: (starts: Value, ends: Value) => Value,
  table: VocabularyTable,
  { unknownId, continuation, mostCharacters, longestToken }: WordPieceSettings,
): { places: Value; ids: Value; ends: Value } {
  const { values: places, splits } = g.ranges(words.starts, words.ends);
  const count = g.size(places); // P
  const wordCount = g.size(words.starts);
  const wordNumbers = g.minus(numbersOfSegments(g, splits, count), 1); // [P]
  const wordEnds = g.gather(words.ends, wordNumbers);
  const isFirst = g.isEqual(places, g.gather(words.starts, wordNumbers));

  const nearest = g.plus(places, 1);
  const farthest = g.plus(g.smaller(wordEnds, g.plus(places, longestToken)), 1);
  const { values: ends, splits: partSplits } = g.ranges(nearest, farthest); // [K]
  const owners = g.minus(numbersOfSegments(g, partSplits, g.size(ends)), 1); // [K], numbers of places
  const starts = g.gather(places, owners);
  const prefixes = g.select(g.gather(isFirst, owners), g.string(''), g.string(continuation));
  const joined = g.add('StringJoin', [prefixes, spelled(starts, ends)], joinAttrs, 'string');
  const partIds = table.idsOf(joined);
  const lengths = g.select(g.isAtLeast(partIds, 0), g.minus(ends, starts), 0);
  const longest = g.segmentMax(lengths, owners, count); // [P], 0: no token begins here
  const chosen = g.plus(g.slice(partSplits, 0, -1), g.larger(g.minus(longest, 1), 0));
  const ids = g.gather(partIds, chosen);

  // Which token follows at which place; behind the last place is one where all words end.
  const here = g.range(count);
  const next = g.plus(here, longest);
  const goesOn = g.and(g.isMore(longest, 0), g.isLess(g.plus(places, longest), wordEnds));
  const sink = g.reshape(count, [1]);
  const all = g.plus(count, 1);
  let jumps = g.concat(g.select(goesOn, next, count), sink);
  let reached = g.concat(g.cast(isFirst, 'int32'), g.ints([0])); // [P + 1], 1: a token begins here
  // After round n the first 2^n tokens of each word are known: from each the jump is over 2^n tokens.
  for (let known = 1; known < mostCharacters; known *= 2) {
    reached = g.plus(reached, g.segmentSum(reached, jumps, all));
    if (2 * known < mostCharacters) jumps = g.gather(jumps, jumps);
  }
  const isReached = g.isMore(g.slice(reached, 0, -1), 0);
  const isDeadEnd = g.cast(g.and(isReached, g.isEqual(longest, 0)), 'int32');
  const isUnknown = g.gather(g.isMore(g.segmentMax(isDeadEnd, wordNumbers, wordCount), 0), wordNumbers);
  const begins = g.select(isUnknown, isFirst, isReached);
  return {
    places,
    ids: g.select(begins, g.select(isUnknown, unknownId, ids), -1),
    ends: g.select(isUnknown, wordEnds, g.plus(places, longest)),
  };
}

const joinAttrs = { N: attr.int(2), separator: attr.string('') };
