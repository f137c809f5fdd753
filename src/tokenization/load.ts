import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer as Library } from '@huggingface/tokenizers';
import { z } from 'zod';
import { UserError } from '../errors.js';
import { readTokenizerConfig, specialTokens, type TokenizerConfig } from './config.js';
import { readJsonFile } from './json-file.js';
import { matchReference } from './normalizer.js';
import { readTemplate, type Template } from './template.js';
import type { Encoding, Tokenizer } from './tokenizer.js';
import { longestFirst } from './truncate.js';
import { tokenizerFromVocab } from './vocab.js';

const tokenizerSchema = z.looseObject({
  added_tokens: z.array(
    z.looseObject({ id: z.number().int().nonnegative(), content: z.string(), single_word: z.boolean().optional() }),
  ),
  normalizer: z.unknown(),
  post_processor: z.looseObject({ type: z.string() }),
  model: z.looseObject({ unk_token: z.string().nullish() }),
});

/** What a tokenizer may consist of: those that exist go along into a saved model. */
const fileNames = [
  'tokenizer.json',
  'vocab.txt',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'vocab.json',
  'merges.txt',
];

/**
 * Loads the tokenizer of a model's folder: tokenizer.json, else a bare vocab.txt (WordPiece). Settings in
 * tokenizer_config.json beside it count as they do in Transformers; truncation and padding set inside tokenizer.json
 * do not.
 *
 * @throws UserError 'files' when files are missing, broken, or ask for something that is not supported
 */
export function loadTokenizer(folder: string): Tokenizer {
  const jsonPath = join(folder, 'tokenizer.json');
  const vocabPath = join(folder, 'vocab.txt');
  const fromJson = existsSync(jsonPath);
  if (!fromJson && !existsSync(vocabPath)) throw noTokenizer(folder);
  const path = fromJson ? jsonPath : vocabPath;
  const config = readTokenizerConfig(folder);
  const json = fromJson
    ? readJsonFile(jsonPath, tokenizerSchema)
    : tokenizerSchema.parse(tokenizerFromVocab(vocabPath, config));
  const partial = json.added_tokens.find((token) => token.single_word === true);
  if (partial !== undefined) {
    throw new UserError('files', `${path}: added token "${partial.content}" has single_word, which is not supported`);
  }
  const library = createLibrary(path, json, config);
  const template = templateOf(path, library, json.post_processor.type === 'RobertaProcessing');
  const unk = json.model.unk_token ?? config.names.unk;
  const files = fileNames.map((name) => join(folder, name)).filter((file) => existsSync(file));
  return createTokenizer(path, library, template, { ...config, names: { ...config.names, unk } }, files);
}

function createLibrary(path: string, json: z.infer<typeof tokenizerSchema>, config: TokenizerConfig): Library {
  try {
    return new Library({ ...json, normalizer: matchReference(json.normalizer, config.bert) }, config.raw);
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    throw new UserError('files', `${path}: not a tokenizer that can be used: ${reason}`);
  }
}

function createTokenizer(
  path: string,
  library: Library,
  template: Template,
  config: TokenizerConfig,
  files: string[],
): Tokenizer {
  const vocabulary = library.get_vocab();
  const names = specialTokens(path, config, (token) => library.token_to_id(token) !== undefined);
  const idOf = (token: string) => library.token_to_id(token)!;
  let largestId = 0;
  for (const id of vocabulary.values()) largestId = Math.max(largestId, id);
  const textIds = (text: string) => library.encode(text, { add_special_tokens: false }).ids;
  return {
    files,
    vocabSize: largestId + 1,
    padTokenId: idOf(names.pad),
    unkTokenId: idOf(names.unk),
    clsTokenId: idOf(names.cls),
    sepTokenId: idOf(names.sep),
    maskTokenId: names.mask === undefined ? undefined : idOf(names.mask),
    encode: (text, pair, maxLength) =>
      pair === undefined
        ? encodeSingle(template, textIds(text), maxLength)
        : encodePair(template, textIds(text), textIds(pair), maxLength),
    tokens: (ids) => Array.from(ids, (id) => tokenOf(library, id)),
  };
}

function templateOf(path: string, library: Library, oneSegment: boolean): Template {
  try {
    if (library.post_processor === null) throw new Error('there is no post-processor');
    return readTemplate(library.post_processor, oneSegment, (token) => library.token_to_id(token));
  } catch (error) {
    throw new UserError('files', `${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function encodeSingle({ single }: Template, ids: number[], maxLength: number): Encoding {
  const room = roomFor(maxLength, single.before.length + single.after.length, 1);
  const inputIds = [...single.before, ...ids.slice(0, room), ...single.after];
  return { inputIds, firstLength: inputIds.length, truncated: ids.length > room };
}

function encodePair({ pair }: Template, first: number[], second: number[], maxLength: number): Encoding {
  const room = roomFor(maxLength, pair.before.length + pair.between.length + pair.after.length, 2);
  const [n, m] = longestFirst(first.length, second.length, room);
  const inputIds = [...pair.before, ...first.slice(0, n), ...pair.between, ...second.slice(0, m), ...pair.after];
  const firstLength = pair.specialsInFirst + n + (pair.secondInFirst ? m : 0);
  return { inputIds, firstLength, truncated: n < first.length || m < second.length };
}

function roomFor(maxLength: number, specials: number, texts: number): number {
  if (maxLength < specials + texts) {
    throw new UserError(
      'usage',
      `max_length: got ${maxLength}, expected at least ${specials + texts} (${specials} special tokens and the text)`,
    );
  }
  return maxLength - specials;
}

function tokenOf(library: Library, id: number): string {
  const token = library.id_to_token(id);
  if (token === undefined) throw new RangeError(`token id ${id} is not in the vocabulary`);
  return token;
}

function noTokenizer(folder: string): UserError {
  const found = existsSync(folder) ? `found ${readdirSync(folder).sort().join(', ') || 'nothing'}` : 'no such folder';
  return new UserError('files', `${folder}: no tokenizer: looked for tokenizer.json or vocab.txt, ${found}`);
}
