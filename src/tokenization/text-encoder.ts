import { createSplitter, type AddedToken, type Section } from './added-tokens.js';
import type { Normalizer } from './normalizer.js';
import type { Piece, PreTokenizer } from './pre-tokenizer.js';

export interface TextEncoderParts {
  readonly addedTokens: readonly AddedToken[];
  readonly normalize: Normalizer;
  readonly preTokenize: PreTokenizer;
  /** Ids of one piece. */
  readonly pieceIds: (piece: string) => readonly number[];
}

/**
 * Text to ids, without the special tokens around it: added tokens are split off, the rest is normalized, added tokens
 * that are to be found in normalized text are split off, the rest is cut into pieces, and each piece into tokens
 * (`AddedVocabulary` and `encode` of the Rust library).
 */
export function createTextEncoder({ addedTokens, normalize, preTokenize, pieceIds }: TextEncoderParts) {
  const isNormalized = ({ special, normalized }: AddedToken) => normalized ?? special !== true;
  const splitRaw = createSplitter(
    addedTokens.filter((token) => !isNormalized(token)),
    ({ content }) => content,
  );
  const splitNormalized = createSplitter(addedTokens.filter(isNormalized), ({ content }) => normalize(content));
  const cachedIds = cached(pieceIds);

  const addPieces = (ids: number[], pieces: readonly Piece[]) => {
    for (const { text } of preTokenize(pieces)) for (const id of cachedIds(text)) ids.push(id);
  };
  const addSections = (ids: number[], sections: readonly Section[], addText: (piece: Piece) => void) => {
    for (const section of sections) {
      if ('id' in section) ids.push(section.id);
      else addText(section);
    }
  };
  return (text: string): number[] => {
    const ids: number[] = [];
    addSections(ids, splitRaw(text), (raw) => {
      addSections(ids, splitNormalized(normalize(raw.text)), (piece) => {
        addPieces(ids, [{ text: piece.text, atStart: raw.atStart && piece.atStart }]);
      });
    });
    return ids;
  };
}

const mostCached = 1 << 16;
const longestCached = 64;

/** Words come again and again: each is cut into tokens once. Emptied when full, so memory stays bounded. */
function cached(pieceIds: (piece: string) => readonly number[]): (piece: string) => readonly number[] {
  const known = new Map<string, readonly number[]>();
  return (piece) => {
    const found = known.get(piece);
    if (found !== undefined) return found;
    const ids = pieceIds(piece);
    if (piece.length <= longestCached) {
      if (known.size >= mostCached) known.clear();
      known.set(piece, ids);
    }
    return ids;
  };
}
