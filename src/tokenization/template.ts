import type { PostProcessor } from '@huggingface/tokenizers';

/** Where a post-processor puts its special tokens, as ids, around the text or the pair. */
export interface Template {
  single: { before: number[]; after: number[] };
  pair: {
    before: number[];
    between: number[];
    after: number[];
    /** How many of the special tokens of a pair are in segment 0. */
    specialsInFirst: number;
    /** RoBERTa has one segment only: the second text is in it too. */
    secondInFirst: boolean;
  };
}

// No vocabulary has them: NUL is dropped from every text.
const placeholderA = '\0A';
const placeholderB = '\0B';

/**
 * Reads the layout off the library's post-processor by running it once on placeholders, whatever its kind.
 *
 * Knowing the layout lets a pair be truncated before the special tokens are put around it, which the library cannot.
 *
 * @param oneSegment for RoBERTa's post-processor, which puts all in segment 0 in Python and the second text in 1 here
 * @param idOf id of a special token's spelling; undefined where the vocabulary lacks it
 * @throws Error saying what about the layout is not supported
 */
export function readTemplate(
  postProcessor: PostProcessor,
  oneSegment: boolean,
  idOf: (token: string) => number | undefined,
): Template {
  const single = layout(postProcessor, oneSegment, [placeholderA], null);
  const pair = layout(postProcessor, oneSegment, [placeholderA], [placeholderB]);
  const a = single.tokens.indexOf(placeholderA);
  const pairA = pair.tokens.indexOf(placeholderA);
  const pairB = pair.tokens.indexOf(placeholderB);
  if (a < 0 || pairA < 0 || pairB < pairA) throw new Error('the post-processor drops or reorders the texts');
  if (single.types.some((type) => type !== 0))
    throw new Error('the post-processor puts a single text in a segment > 0');
  // Segments are kept as one length, so segment 1 has to be a tail.
  if (pair.types.some((type, i) => (type !== 0 && type !== 1) || type < (pair.types[i - 1] ?? 0))) {
    throw new Error(`the post-processor's segments are ${pair.types.join(' ')}, expected zeros and then ones`);
  }
  const ids = (tokens: string[]) => tokens.map((token) => specialId(token, idOf));
  const secondInFirst = pair.types[pairB] === 0;
  const textsInFirst = secondInFirst ? 2 : 1;
  return {
    single: { before: ids(single.tokens.slice(0, a)), after: ids(single.tokens.slice(a + 1)) },
    pair: {
      before: ids(pair.tokens.slice(0, pairA)),
      between: ids(pair.tokens.slice(pairA + 1, pairB)),
      after: ids(pair.tokens.slice(pairB + 1)),
      specialsInFirst: pair.types.filter((type) => type === 0).length - textsInFirst,
      secondInFirst,
    },
  };
}

function layout(
  postProcessor: PostProcessor,
  oneSegment: boolean,
  first: string[],
  second: string[] | null,
): { tokens: string[]; types: number[] } {
  const { tokens, token_type_ids } = postProcessor.post_process(first, second, true);
  const types = oneSegment ? undefined : token_type_ids;
  return { tokens, types: types ?? tokens.map(() => 0) };
}

function specialId(token: string, idOf: (token: string) => number | undefined): number {
  const id = idOf(token);
  if (id === undefined) throw new Error(`the post-processor adds "${token}", which is not in the vocabulary`);
  return id;
}
