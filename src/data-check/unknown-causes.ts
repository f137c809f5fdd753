import type { Tokenizer } from '../tokenization/tokenizer.js';

/** More tokens than any text has: nothing is cut. */
export const unlimited = 2 ** 30;

export interface Causes {
  /** What in some texts is unknown. */
  of(texts: readonly string[]): string[];
  worst(most: number): { text: string; count: number }[];
}

/** Longer stretches without a blank, such as Chinese sentences, hardly come again. */
const longestRemembered = 32;

/**
 * Finds what makes tokens unknown: in a stretch between blanks the characters that are unknown by themselves, else the
 * stretch. What was asked once is remembered, so a million texts are no trouble.
 */
export function createCauses(tokenizer: Tokenizer): Causes {
  const known = new Map<string, boolean>();
  const counts = new Map<string, number>();
  const isUnknown = (part: string): boolean => {
    const before = known.get(part);
    if (before !== undefined) return before;
    const found = tokenizer.encode(part, undefined, unlimited).inputIds.includes(tokenizer.unkTokenId);
    if (part.length <= longestRemembered) known.set(part, found);
    return found;
  };
  return {
    of(texts) {
      const stretches = texts.flatMap((text) => text.split(/\s+/u)).filter(isUnknown);
      const found = stretches.flatMap((stretch) => {
        const characters = Array.from(stretch).filter(isUnknown);
        return characters.length > 0 ? characters : [stretch];
      });
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
