import { z } from 'zod';

export const unigramSchema = z.looseObject({
  unk_id: z.int().nonnegative(),
  vocab: z.array(z.tuple([z.string(), z.number()])).min(1),
  byte_fallback: z.literal(false, { error: 'byte_fallback is not supported' }).optional(),
});

// What a character outside the vocabulary costs, below the least likely token (kUnkPenalty of SentencePiece).
const unknownPenalty = 10;

/**
 * SentencePiece's unigram model: the most likely cut of a piece into tokens. Unknown characters in a row are one
 * unknown token.
 *
 * Follows `encode_optimized` of the Rust library, also where two cuts are equally likely: the token that begins first
 * stays. (The JavaScript library's own model joins unknown tokens across pieces, and keeps a copy of each step.)
 *
 * @returns ids of one piece, in time linear in its length
 */
export function createUnigram({
  vocab,
  unk_id: unknownId,
}: z.infer<typeof unigramSchema>): (piece: string) => number[] {
  if (unknownId >= vocab.length) throw new Error(`unk_id is ${unknownId}, the vocabulary has ${vocab.length} tokens`);
  const ids = new Map(vocab.map(([token], id) => [token, id]));
  let [longest, leastScore] = [1, Infinity];
  for (const [token, score] of vocab) {
    longest = Math.max(longest, token.length);
    leastScore = Math.min(leastScore, score);
  }
  const unknownScore = leastScore - unknownPenalty;

  return (piece) => {
    const size = piece.length;
    // The best cut up to each UTF-16 unit; those within a character are never reached.
    const scores = new Float64Array(size + 1);
    const starts = new Int32Array(size + 1).fill(-1);
    const tokens = new Int32Array(size + 1);
    const reach = (start: number, end: number, id: number, tokenScore: number) => {
      const score = scores[start]! + tokenScore;
      if (starts[end]! >= 0 && score <= scores[end]!) return;
      scores[end] = score;
      starts[end] = start;
      tokens[end] = id;
    };
    for (let start = 0; start < size;) {
      const next = start + characterLength(piece, start);
      let known = false;
      for (let end = next; end <= size && end - start <= longest; end += characterLength(piece, end)) {
        const id = ids.get(piece.slice(start, end));
        if (id === undefined) continue;
        reach(start, end, id, vocab[id]![1]);
        if (end === next) known = true;
      }
      if (!known) reach(start, next, unknownId, unknownScore);
      start = next;
    }
    const found: number[] = [];
    for (let end = size; end > 0; end = starts[end]!) {
      if (tokens[end] !== unknownId || found.at(-1) !== unknownId) found.push(tokens[end]!);
    }
    return found.reverse();
  };
}

const characterLength = (text: string, at: number): number => ((text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1);
