import { z } from 'zod';
import { UserError } from '../errors.js';
import { addedTokensOf } from './added-tokens.js';
import { specialTokens, type TokenizerConfig } from './config.js';
import type { TokenizerContent } from './content.js';
import { readJsonFile } from './json-file.js';
import { readLines } from './lines-file.js';

export const vocabSchema = z.record(z.string(), z.int().nonnegative());

/**
 * The tokenizer of vocab.json and merges.txt (byte-level BPE), as Transformers builds RoBERTa's: `<s> A </s>`,
 * `<s> A </s></s> B </s>`, no space put before a text unless tokenizer_config.json has add_prefix_space.
 *
 * Blanks before `<mask>` belong to it, as in the tokenizer.json of the published models, unless a file says otherwise.
 *
 * @throws UserError 'files' when a file is broken or the vocabulary lacks a special token
 */
export function tokenizerFromBpe(vocabPath: string, mergesPath: string, config: TokenizerConfig): TokenizerContent {
  const ids = new Map(Object.entries(readJsonFile(vocabPath, vocabSchema)));
  return byteLevelTokenizer(vocabPath, ids, readMerges(mergesPath), config);
}

/** As tokenizerFromBpe, of the contents of the two files. */
export function byteLevelTokenizer(
  path: string,
  ids: ReadonlyMap<string, number>,
  merges: readonly [string, string][],
  config: TokenizerConfig,
): TokenizerContent {
  const names = specialTokens(path, config, (token) => ids.has(token));
  const addPrefixSpace = config.addPrefixSpace ?? false;
  const json = {
    added_tokens: addedTokensOf(ids, names, config, true),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: addPrefixSpace, trim_offsets: true, use_regex: true },
    post_processor: {
      type: 'RobertaProcessing',
      sep: [names.sep, ids.get(names.sep)],
      cls: [names.cls, ids.get(names.cls)],
      trim_offsets: true,
      add_prefix_space: addPrefixSpace,
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', unk_token: names.unk, vocab: Object.fromEntries(ids), merges },
  };
  return { path, json, notes: [] };
}

/**
 * Merges of a merges.txt or vocab.bpe, best first: two symbols with one space between, a line each.
 *
 * @throws UserError 'files' naming the line that is not one
 */
export function readMerges(path: string): [string, string][] {
  const merges: [string, string][] = [];
  readLines(path).forEach((line, i) => {
    // The Rust library skips it on any line: "#version: 0.2".
    if (line.startsWith('#version')) return;
    const [left, right, ...more] = line.split(' ');
    if (left === undefined || left === '' || right === undefined || right === '' || more.length > 0) {
      throw new UserError('files', `${path}:${i + 1}: got ${JSON.stringify(line)}, expected two symbols and one space`);
    }
    merges.push([left, right]);
  });
  return merges;
}
