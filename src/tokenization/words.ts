import { createSplitter, type AddedToken } from './added-tokens.js';
import { alignCharacters, type SourceCharacter } from './align.js';
import { fromByteCharacters } from './byte-level.js';
import type { TextEncoderParts } from './text-encoder.js';
import type { Word } from './tokenizer.js';

export interface WordSettings {
  /** Whether the pre-tokenizer writes bytes as characters. */
  readonly byteLevel: boolean;
  /** Whether each piece of the pre-tokenizer is a word; else pieces without a blank between them make one. */
  readonly piecesAreWords: boolean;
}

/** Finds the words of a text: the same steps as createTextEncoder's, with each piece followed back to its characters. */
export function createWordFinder(parts: TextEncoderParts, settings: WordSettings): (text: string) => Word[] {
  const { addedTokens, normalize } = parts;
  const isNormalized = ({ special, normalized }: AddedToken) => normalized ?? special !== true;
  const splitRaw = createSplitter(
    addedTokens.filter((token) => !isNormalized(token)),
    ({ content }) => content,
  );
  const splitNormalized = createSplitter(addedTokens.filter(isNormalized), ({ content }) => normalize(content));
  return (text) => {
    const words = splitRaw(text).flatMap((section): Word[] => {
      const { start, end } = section;
      if ('id' in section) return [{ ids: [section.id], place: { start, end } }];
      const pieces = piecesOf(parts, splitNormalized, section, settings);
      const aligned = alignCharacters(
        sourceCharacters(section.text, start, normalize),
        pieces.map(({ characters }) => characters),
      );
      return pieces.map(({ ids }, i) => ({ ids, place: aligned[i] }));
    });
    return settings.piecesAreWords ? words : joined(words);
  };
}

/** A piece and the characters that are to be found in the text. */
interface PieceCharacters {
  readonly ids: readonly number[];
  readonly characters: readonly string[];
}

function piecesOf(
  { normalize, preTokenize, pieceIds }: TextEncoderParts,
  splitNormalized: ReturnType<typeof createSplitter>,
  raw: { readonly text: string; readonly atStart: boolean },
  { byteLevel }: WordSettings,
): PieceCharacters[] {
  const normal = normalize(raw.text);
  return splitNormalized(normal).flatMap((section): PieceCharacters[] => {
    if ('id' in section) {
      return [{ ids: [section.id], characters: visible(normal.slice(section.start, section.end)) }];
    }
    const pieces = preTokenize([{ text: section.text, atStart: raw.atStart && section.atStart }]);
    return pieces.map(({ text }) => ({
      ids: pieceIds(text),
      characters: visible(byteLevel ? fromByteCharacters(text) : text),
    }));
  });
}

/** Without blanks, and what SentencePiece writes for them: normalizers add and remove those as they like. */
const visible = (text: string): string[] => Array.from(text.replace(/[\p{White_Space}▁]/gu, ''));

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });

/**
 * The characters that a normalizer leaves, with the place of what they come from. Normalized one grapheme at a time: a
 * letter and its accents, which normalizers join or take apart, stay together.
 */
function sourceCharacters(text: string, offset: number, normalize: (text: string) => string): SourceCharacter[] {
  const characters: SourceCharacter[] = [];
  for (const { segment, index } of segmenter.segment(text)) {
    const [start, end] = [offset + index, offset + index + segment.length];
    for (const character of visible(normalize(segment))) characters.push({ character, start, end });
  }
  return characters;
}

/** Joins pieces that stand side by side; one without a place belongs to the word before it. */
function joined(pieces: readonly Word[]): Word[] {
  const words: Word[] = [];
  for (const piece of pieces) {
    const last = words.at(-1);
    const { place } = piece;
    if (last?.place === undefined || (place !== undefined && place.start > last.place.end)) {
      words.push(piece);
    } else {
      const end = Math.max(last.place.end, place?.end ?? 0);
      words[words.length - 1] = { ids: [...last.ids, ...piece.ids], place: { start: last.place.start, end } };
    }
  }
  return words;
}
