import { characterScripts } from '../../data/text-words.js';
import { codePointNumbers, numbersOfSegments, type Elements } from './elements.js';
import type { NodeBuilder, Value } from './node-builder.js';

/** What textWords tells code points apart by: `ownMark` is a mark of one of the scripts whose characters are words. */
const classes = { blank: 0, single: 1, letter: 2, mark: 3, ownMark: 4 } as const;

/**
 * textWords as a graph: the number of the word that each code point belongs to, counted from 1 through all texts; that of
 * the word before it for white space. Letters: N code points of all texts.
 *
 * @returns int32 [N]
 */
export function splitWords(
  g: NodeBuilder,
  { codePoints, codePointSplits }: Pick<Elements, 'codePoints' | 'codePointSplits'>,
): Value {
  const kinds = codePointNumbers(g, codePoints, classesOfAll());
  const count = g.size(codePoints);
  const is = (values: Value, kind: keyof typeof classes): Value => g.isEqual(values, classes[kind]);
  const texts = g.minus(numbersOfSegments(g, codePointSplits, count), 1);
  const textBegins = g.gather(codePointSplits, texts);
  const here = g.range(count);

  // The class of what stands before, and of the last that is no mark; white space where nothing does.
  const classAt = (places: Value): Value =>
    g.select(g.isLess(places, textBegins), classes.blank, g.gather(kinds, g.larger(places, 0)));
  const before = classAt(g.minus(here, 1));
  const isOther = g.not(is(kinds, 'mark'));
  const others = g.concat(g.ints([-1]), g.places(isOther));
  const lastOther = classAt(g.gather(others, g.sums(g.cast(isOther, 'int32'), true)));

  // A run of letters, which may begin with a mark, goes on with letters and marks; all other words go on with marks alone.
  const isAfterRun = g.or(is(lastOther, 'letter'), g.and(is(lastOther, 'blank'), g.not(is(before, 'blank'))));
  const isAfterBlank = is(before, 'blank');
  const begins = g.select(
    is(kinds, 'letter'),
    g.not(isAfterRun),
    g.select(
      is(kinds, 'mark'),
      isAfterBlank,
      g.select(is(kinds, 'ownMark'), g.or(isAfterRun, isAfterBlank), is(kinds, 'single')),
    ),
  );
  return g.sums(g.cast(begins, 'int32'), false);
}

const codePointCount = 0x110000;
const chunkSize = 4096;

/** The class of each code point. */
function classesOfAll(): Uint16Array {
  const numbers = new Uint16Array(codePointCount).fill(classes.single);
  const [ownScript, mark, letter, blank] = [`[${characterScripts}]`, '\\p{M}', '[\\p{L}\\p{N}]', '\\s'].map(
    (form) => new RegExp(form, 'u'),
  );
  const classOf = (character: string): number => {
    if (ownScript!.test(character)) return mark!.test(character) ? classes.ownMark : classes.single;
    if (mark!.test(character)) return classes.mark;
    if (letter!.test(character)) return classes.letter;
    return blank!.test(character) ? classes.blank : classes.single;
  };
  for (let start = 0; start < codePointCount; start += chunkSize) {
    const codePoints = Array.from({ length: chunkSize }, (_, i) => start + i).filter(isScalar);
    // Most of Unicode is not assigned.
    if (/^[\p{Cn}\p{Co}]*$/u.test(String.fromCodePoint(...codePoints))) continue;
    for (const codePoint of codePoints) numbers[codePoint] = classOf(String.fromCodePoint(codePoint));
  }
  return numbers;
}

/** Surrogates are no characters. */
const isScalar = (codePoint: number): boolean => codePoint < 0xd800 || codePoint > 0xdfff;
