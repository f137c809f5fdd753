const letters = Array.from({ length: 26 }, (_, i) => String.fromCharCode(0x41 + i));

/**
 * Whether a vocabulary tells upper case from lower case: it has nearly all of the capital letters A to Z as tokens. A
 * lower-cased one has none of them; a few may stand in it as symbols.
 *
 * @param has whether the vocabulary has a token
 * @param wordStart what the vocabulary writes before a token that begins a word ("▁" in SentencePiece)
 */
export const isCased = (has: (token: string) => boolean, wordStart = ''): boolean =>
  letters.filter((letter) => has(letter) || has(wordStart + letter)).length >= 20;

export const casedNote = (path: string): string =>
  `${path} has capital letters, and no tokenizer_config.json says do_lower_case: texts are not lower-cased`;
