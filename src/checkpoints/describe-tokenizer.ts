import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { findFairseqFiles } from '../tokenization/fairseq.js';
import { loadTokenizer } from '../tokenization/load.js';
import type { Tokenizer } from '../tokenization/tokenizer.js';
import { readJson } from './json.js';

export interface TokenizerDescription {
  /** Names of the files it consists of. */
  readonly files: readonly string[];
  /** WordPiece, byte-level BPE, Unigram ... */
  readonly kind: string;
  /** The largest id + 1. */
  readonly vocabulary: number;
  readonly special_tokens: Readonly<Record<string, { readonly token: string; readonly id: number }>>;
  /** null: the vocabulary has no Latin letters to tell it by. */
  readonly lower_cases: boolean | null;
  readonly notes: readonly string[];
}

/**
 * Describes the tokenizer of a folder; undefined where it has none.
 *
 * @throws UserError 'files' where there is one that t4 cannot use
 */
export function describeTokenizer(folder: string): TokenizerDescription | undefined {
  const kind = kindOf(folder);
  if (kind === undefined) return undefined;
  const tokenizer = loadTokenizer(folder);
  const { padTokenId, unkTokenId, clsTokenId, sepTokenId, maskTokenId } = tokenizer;
  const ids = { pad: padTokenId, unk: unkTokenId, cls: clsTokenId, sep: sepTokenId, mask: maskTokenId };
  const special = Object.entries(ids).flatMap(([name, id]) =>
    id === undefined ? [] : [[name, { token: tokenizer.tokens([id])[0]!, id }] as const],
  );
  return {
    files: tokenizer.files.map((file) => basename(file)),
    kind,
    vocabulary: tokenizer.vocabSize,
    special_tokens: Object.fromEntries(special),
    lower_cases: lowerCases(tokenizer),
    notes: tokenizer.notes,
  };
}

/** In the order in which they are looked for. */
function kindOf(folder: string): string | undefined {
  const has = (name: string): boolean => existsSync(join(folder, name));
  if (has('tokenizer.json')) return kindInJson(join(folder, 'tokenizer.json'));
  if (has('vocab.json') && has('merges.txt')) return 'byte-level BPE';
  if (has('spiece.model') || has('30k-clean.model')) return 'Unigram (SentencePiece)';
  if (has('vocab.txt')) return 'WordPiece';
  return existsSync(folder) && findFairseqFiles(folder) !== undefined ? "byte-level BPE (fairseq's files)" : undefined;
}

const typed = z.looseObject({ type: z.string().optional() }).nullish().catch(undefined);
const kindSchema = z.looseObject({ model: typed, decoder: typed });

function kindInJson(path: string): string {
  const parsed = kindSchema.safeParse(readJson(path, `${path} does not exist`));
  const { model, decoder } = parsed.success ? parsed.data : {};
  if (model?.type === 'BPE' && decoder?.type === 'ByteLevel') return 'byte-level BPE';
  return model?.type ?? 'unknown';
}

const letters = Array.from('abcdefghijklmnopqrstuvwxyz');

/** Told by what it does, because the setting has many places. */
function lowerCases(tokenizer: Tokenizer): boolean | null {
  const ids = (text: string): string => tokenizer.encode(text, undefined, 16).inputIds.join();
  const pairs = letters.map((letter) => [ids(letter), ids(letter.toUpperCase())] as const);
  if (pairs.some(([small, capital]) => small !== capital)) return false;
  return new Set(pairs.map(([small]) => small)).size > 1 ? true : null;
}
