import { z } from 'zod';
import type { SpecialTokens, TokenizerConfig } from './config.js';

export const addedTokenSchema = z.looseObject({
  id: z.int().nonnegative(),
  content: z.string().min(1),
  special: z.boolean().optional(),
  normalized: z.boolean().optional(),
  lstrip: z.boolean().optional(),
  rstrip: z.boolean().optional(),
  single_word: z.boolean().optional(),
});

/** A token that is found in a text before anything else is done to it, with the keys of tokenizer.json. */
export type AddedToken = z.infer<typeof addedTokenSchema>;

/**
 * The added tokens of a tokenizer that comes as a bare vocabulary: the special ones, and what the settings add.
 *
 * @param ids the vocabulary
 * @param maskTakesBlank whether the blanks before a mask belong to it where no file says so (RoBERTa, ALBERT)
 */
export function addedTokensOf(
  ids: ReadonlyMap<string, number>,
  names: SpecialTokens,
  config: TokenizerConfig,
  maskTakesBlank: boolean,
): AddedToken[] {
  const found = new Map<string, AddedToken>();
  for (const content of [names.pad, names.unk, names.cls, names.sep, names.mask]) {
    if (content === undefined) continue;
    const lstrip = maskTakesBlank && content === names.mask;
    found.set(content, { id: ids.get(content)!, content, special: true, normalized: false, lstrip });
  }
  let largest = -1;
  for (const id of ids.values()) largest = Math.max(largest, id);
  for (const { id: givenId, ...written } of config.written) {
    const { content } = written;
    const before = found.get(content);
    const id = before?.id ?? ids.get(content) ?? givenId ?? largest + 1;
    largest = Math.max(largest, id);
    const special = before?.special ?? written.special ?? false;
    found.set(content, { normalized: !special, ...before, ...withoutUndefined(written), id, content, special });
  }
  return [...found.values()];
}

const withoutUndefined = <T extends object>(value: T): Partial<T> => {
  const copy: Partial<T> = { ...value };
  for (const key in copy) if (copy[key] === undefined) Reflect.deleteProperty(copy, key);
  return copy;
};

/** A part of a text, from `start` to `end`: an added token, or what lies between them. */
export type Section = { start: number; end: number } & ({ id: number } | { text: string; atStart: boolean });

/**
 * Splits texts at added tokens: the leftmost is taken first, and the longest of those that begin there.
 *
 * @param spelling a token as it is to be found: normalized, for a search in normalized text
 */
export function createSplitter(
  tokens: readonly AddedToken[],
  spelling: (token: AddedToken) => string,
): (text: string) => Section[] {
  const bySpelling = new Map(tokens.map((token) => [spelling(token), token]));
  bySpelling.delete('');
  if (bySpelling.size === 0) {
    return (text) => (text === '' ? [] : [{ text, atStart: true, start: 0, end: text.length }]);
  }
  const longestFirst = [...bySpelling.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(longestFirst.map(escapeRegExp).join('|'), 'gu');
  return (text) => {
    const sections: Section[] = [];
    let done = 0;
    const addText = (end: number) => {
      if (end > done) sections.push({ text: text.slice(done, end), atStart: done === 0, start: done, end });
    };
    for (const match of text.matchAll(pattern)) {
      const token = bySpelling.get(match[0])!;
      let end = match.index + match[0].length;
      addText(token.lstrip === true ? endWithoutBlanks(text, done, match.index) : match.index);
      sections.push({ id: token.id, start: match.index, end });
      if (token.rstrip === true) while (end < text.length && isBlank(text[end]!)) end += 1;
      done = end;
    }
    addText(text.length);
    return sections;
  };
}

function endWithoutBlanks(text: string, start: number, end: number): number {
  let kept = end;
  while (kept > start && isBlank(text[kept - 1]!)) kept -= 1;
  return kept;
}

// Not \s, which has U+FEFF and lacks U+0085.
const isBlank = (character: string): boolean => /^\p{White_Space}$/u.test(character);

const escapeRegExp = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/gu, '\\$&');
