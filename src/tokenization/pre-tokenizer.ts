import { DigitsPreTokenizer, PunctuationPreTokenizer, SplitPreTokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import { byteLevelPieces, toByteCharacters } from './byte-level.js';

/** A piece of a normalized text; `atStart` where the text begins with it. */
export interface Piece {
  text: string;
  atStart: boolean;
}

export type PreTokenizer = (pieces: readonly Piece[]) => Piece[];

const preTokenizerSchema = z.looseObject({ type: z.string() });
const sequenceSchema = z.object({ pretokenizers: z.array(z.unknown()) });
const byteLevelSchema = z.object({ add_prefix_space: z.boolean().default(true), use_regex: z.boolean().default(true) });
const metaspaceSchema = z.object({
  replacement: z.string().default('▁'),
  add_prefix_space: z.boolean().optional(),
  prepend_scheme: z.enum(['always', 'first', 'never']).optional(),
  split: z.boolean().default(true),
});
const splitSchema = z.object({ behavior: z.string(), invert: z.boolean().default(false) });

/**
 * The pre-tokenizer of a tokenizer.json: text into the pieces that the model looks at one by one.
 *
 * Those of the BERT family are ours, because the JavaScript library's differ from the Rust one's in what a blank is
 * (U+0085, U+FEFF), in characters beyond ASCII, and in Metaspace, which it does not split.
 *
 * @param addPrefixSpace what tokenizer_config.json puts in place of ByteLevel's own setting; undefined: nothing
 * @throws ZodError when it is not a pre-tokenizer, Error when it is one that is not supported
 */
export function createPreTokenizer(json: unknown, addPrefixSpace: boolean | undefined): PreTokenizer {
  if (json === null || json === undefined) return (pieces) => [...pieces];
  const config = preTokenizerSchema.parse(json);
  switch (config.type) {
    case 'Sequence': {
      const { pretokenizers } = sequenceSchema.parse(config);
      const parts = pretokenizers.map((part) => createPreTokenizer(part, addPrefixSpace));
      return (pieces) => parts.reduce((before, part) => part(before), [...pieces]);
    }
    case 'ByteLevel':
      return byteLevel({
        ...byteLevelSchema.parse(config),
        ...(addPrefixSpace === undefined ? {} : { add_prefix_space: addPrefixSpace }),
      });
    case 'Metaspace':
      return metaspace(metaspaceSchema.parse(config));
    case 'WhitespaceSplit':
      return each((text) => text.match(/\P{White_Space}+/gu));
    case 'BertPreTokenizer':
      return each((text) => text.match(bertPieces));
    case 'Whitespace':
      return each((text) => text.match(wordsAndSymbols));
    case 'Split': {
      const { behavior, invert } = splitSchema.parse(config);
      if (behavior !== 'Removed' && (behavior !== 'Isolated' || invert)) {
        throw new Error(`the pre-tokenizer Split with behavior ${behavior}, invert ${invert} is not supported`);
      }
      return byLibrary(new SplitPreTokenizer(config));
    }
    case 'Punctuation':
      return byLibrary(new PunctuationPreTokenizer(config));
    case 'Digits':
      return byLibrary(new DigitsPreTokenizer(config));
    default:
      throw new Error(`the pre-tokenizer ${config.type} is not supported`);
  }
}

// ASCII symbols count as punctuation, as in BERT.
const bertPieces = /[^\p{White_Space}\p{P}!-/:-@[-`{-~]+|[\p{P}!-/:-@[-`{-~]/gu;
const wordsAndSymbols =
  /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu;

function each(split: (text: string) => readonly string[] | null): PreTokenizer {
  return (pieces) =>
    pieces.flatMap(({ text, atStart }) =>
      (split(text) ?? []).map((part, i) => ({ text: part, atStart: atStart && i === 0 && text.startsWith(part) })),
    );
}

const byLibrary = (part: { pre_tokenize_text(text: string): string[] }): PreTokenizer =>
  each((text) => part.pre_tokenize_text(text));

function byteLevel(config: z.infer<typeof byteLevelSchema>): PreTokenizer {
  return each((text) => {
    const begun = config.add_prefix_space && !text.startsWith(' ') ? ` ${text}` : text;
    return (config.use_regex ? byteLevelPieces(begun) : [begun]).map(toByteCharacters);
  });
}

/** SentencePiece's blank: " a b" is "▁a", "▁b". */
function metaspace({
  replacement,
  add_prefix_space,
  prepend_scheme,
  split,
}: z.infer<typeof metaspaceSchema>): PreTokenizer {
  const scheme = prepend_scheme ?? (add_prefix_space === false ? 'never' : 'always');
  const pieces = (text: string) => {
    const parts = text.split(replacement);
    return parts.map((part, i) => (i === 0 ? part : replacement + part)).filter((part) => part !== '');
  };
  return (before) =>
    before.flatMap(({ text, atStart }) => {
      const replaced = text.replaceAll(' ', replacement);
      const prepend = scheme === 'always' || (scheme === 'first' && atStart);
      const begun = prepend && !replaced.startsWith(replacement) ? replacement + replaced : replaced;
      return (split ? pieces(begun) : [begun]).map((part, i) => ({ text: part, atStart: atStart && i === 0 }));
    });
}
