/** What the texts are written in. */
export interface Language {
  /** As task files have it; undefined where it cannot be told. */
  readonly code: 'zh' | 'en' | 'ja' | 'ko' | undefined;
  readonly why: string;
}

const scripts = {
  Chinese: /\p{Script=Han}/u,
  Japanese: /[\p{Script=Hiragana}\p{Script=Katakana}]/u,
  Korean: /\p{Script=Hangul}/u,
  Latin: /\p{Script=Latin}/u,
} as const;

/** Words that no English text of some length is without, and that other languages do not have. */
const englishWords = new Set(
  'the of and to is in that it was for with this are be not you have but they from all which an by or we his her'.split(
    ' ',
  ),
);

/** The language by the script of the letters, and English by its commonest words. */
export function detectLanguage(texts: readonly string[]): Language {
  const counts = { Chinese: 0, Japanese: 0, Korean: 0, Latin: 0 };
  let letters = 0;
  let [words, english] = [0, 0];
  for (const text of texts) {
    for (const letter of text.match(/\p{L}/gu) ?? []) {
      letters++;
      for (const script of ['Latin', 'Chinese', 'Japanese', 'Korean'] as const) {
        if (!scripts[script].test(letter)) continue;
        counts[script]++;
        break;
      }
    }
    for (const word of text.toLowerCase().match(/\p{Script=Latin}+/gu) ?? []) {
      words++;
      if (englishWords.has(word)) english++;
    }
  }
  const share = (count: number): number => count / Math.max(1, letters);
  const of = (count: number, what: string): string => `${(100 * share(count)).toFixed(0)} % of the letters are ${what}`;
  if (share(counts.Japanese) > 0.1) return { code: 'ja', why: `${of(counts.Japanese, 'kana')}.` };
  if (share(counts.Korean) > 0.3) return { code: 'ko', why: `${of(counts.Korean, 'Hangul')}.` };
  // A Chinese character is a word, a Latin letter a fifth of one.
  if (share(counts.Chinese) > 0.3) return { code: 'zh', why: `${of(counts.Chinese, 'Chinese characters')}.` };
  const common = english / Math.max(1, words);
  if (share(counts.Latin) > 0.5 && common > 0.05) {
    return { code: 'en', why: `Latin letters, and ${(100 * common).toFixed(0)} % of the words are the, of, and ...` };
  }
  return { code: undefined, why: 'The language could not be told from the letters and words.' };
}
