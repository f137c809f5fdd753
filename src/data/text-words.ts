import type { Place } from '../tokenization/align.js';

/** Scripts that have no blanks between words (or, as Hangul, write endings onto names): each of their characters is a word. */
export const characterScripts =
  '\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Hangul}' +
  '\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}';

const wordForm = new RegExp(
  `[${characterScripts}]\\p{M}*|(?:(?![${characterScripts}])[\\p{L}\\p{M}\\p{N}])+|\\S\\p{M}*`,
  'gu',
);

/**
 * The words of a text whose entities are given by their places: a character of a script without blanks, any other symbol,
 * and a run of other letters and digits are a word each; white space is none. It depends on nothing but the text, so that a
 * model finds the words that it has learned. Marks belong to what they stand on.
 *
 * @returns where each word stands, in UTF-16 units
 */
export function textWords(text: string): Place[] {
  return Array.from(text.matchAll(wordForm), ({ index, 0: { length } }) => ({ start: index, end: index + length }));
}
