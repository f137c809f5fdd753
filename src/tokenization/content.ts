import type { SpecialTokens } from './config.js';

/** The content of a tokenizer.json, read from one or made of the files that a family has instead. */
export interface TokenizerContent {
  /** The file to name in messages. */
  readonly path: string;
  readonly json: unknown;
  /** What was decided while reading, that a user may want to know: a sentence each. */
  readonly notes: readonly string[];
}

/** BERT's and ALBERT's layout: `[CLS] A [SEP]`, `[CLS] A [SEP] B [SEP]`, B in segment 1. */
export function bertTemplate({ cls, sep }: SpecialTokens): Record<string, unknown> {
  const [begin, middle] = [specialPiece(cls, 0), specialPiece(sep, 0)];
  return {
    type: 'TemplateProcessing',
    single: [begin, textPiece('A', 0), middle],
    pair: [begin, textPiece('A', 0), middle, textPiece('B', 1), specialPiece(sep, 1)],
  };
}

const specialPiece = (id: string, type: number) => ({ SpecialToken: { id, type_id: type } });
const textPiece = (id: string, type: number) => ({ Sequence: { id, type_id: type } });
