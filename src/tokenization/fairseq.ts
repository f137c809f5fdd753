import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.js';
import type { TokenizerConfig } from './config.js';
import type { TokenizerContent } from './content.js';
import { readJsonFile } from './json-file.js';
import { readLines } from './lines-file.js';
import { byteLevelTokenizer, readMerges, vocabSchema } from './roberta.js';

/**
 * The tokenizer of a fairseq RoBERTa folder: dict.txt gives ids to GPT-2's ids, encoder.json gives GPT-2's ids to
 * tokens, vocab.bpe has the merges. It equals Hugging Face's vocab.json and merges.txt of the same model.
 */
export interface FairseqFiles {
  readonly dictionary: string;
  readonly encoder: string;
  /** vocab.bpe, or the same under Hugging Face's name merges.txt. */
  readonly merges: string;
}

/**
 * The three files of a fairseq folder, or undefined where it has no dict.txt.
 *
 * @throws UserError 'files' where dict.txt is there and one of the other two is not
 */
export function findFairseqFiles(folder: string): FairseqFiles | undefined {
  const dictionary = join(folder, 'dict.txt');
  if (!existsSync(dictionary)) return undefined;
  const encoder = join(folder, 'encoder.json');
  const merges = ['vocab.bpe', 'merges.txt'].map((name) => join(folder, name)).find((path) => existsSync(path));
  if (!existsSync(encoder) || merges === undefined) {
    const missing = [...(existsSync(encoder) ? [] : ['encoder.json']), ...(merges === undefined ? ['vocab.bpe'] : [])];
    throw new UserError(
      'files',
      `${folder}: no tokenizer: dict.txt is there, ${missing.join(' and ')} ${missing.length > 1 ? 'are' : 'is'} not`,
      'dict.txt numbers the tokens of GPT-2 without spelling them. Put encoder.json and vocab.bpe (fairseq, gpt2_bpe) ' +
        'into the folder, or vocab.json and merges.txt of the same model from the Hugging Face hub.',
    );
  }
  return { dictionary, encoder, merges };
}

/** @throws UserError 'files' for a broken file, or symbols that are in dict.txt and not in encoder.json */
export function tokenizerFromFairseq(files: FairseqFiles, config: TokenizerConfig): TokenizerContent {
  return byteLevelTokenizer(files.dictionary, fairseqVocabulary(files), readMerges(files.merges), config);
}

/**
 * Writes vocab.json and merges.txt of a fairseq folder into another, each beside its place and then renamed.
 *
 * @returns the paths written
 * @throws UserError 'files' as tokenizerFromFairseq; and where GPT-2 tokens have no id in dict.txt, which a vocab.json
 *   with the whole of merges.txt cannot express
 */
export function writeFairseqVocabulary(files: FairseqFiles, folder: string): string[] {
  const ids = fairseqVocabulary(files);
  const merges = readMerges(files.merges);
  const parts = new Set(merges.flatMap(([left, right]) => [left, right, left + right]));
  const missing = [...parts].filter((token) => !ids.has(token));
  if (missing.length > 0) {
    throw new UserError(
      'files',
      `${files.dictionary}: ${missing.length} of the tokens of ${files.merges} have no id, the first is "${missing[0]!}"`,
      'Only a dictionary with all of the tokens can be written as vocab.json and merges.txt.',
    );
  }
  const [vocabPath, mergesPath] = [join(folder, 'vocab.json'), join(folder, 'merges.txt')];
  // Not by way of an object, which would put tokens such as "0" first.
  const entries = [...ids].map(([token, id]) => `${JSON.stringify(token)}: ${id}`);
  writeWhole(vocabPath, `{${entries.join(', ')}}`);
  writeWhole(mergesPath, readFileSync(files.merges));
  return [vocabPath, mergesPath];
}

function writeWhole(path: string, content: string | Buffer): void {
  writeFileSync(`${path}.partial`, content);
  renameSync(`${path}.partial`, path);
}

/** What fairseq's Dictionary has before the file, and what its masked_lm task adds after it. */
const firstSymbols = ['<s>', '<pad>', '</s>', '<unk>'];
const maskSymbol = '<mask>';

/** Tokens by id, in order: the special ones, those of dict.txt spelled by encoder.json, `<mask>`. */
function fairseqVocabulary({ dictionary, encoder }: FairseqFiles): Map<string, number> {
  const spellings = new Map(
    Object.entries(readJsonFile(encoder, vocabSchema)).map(([token, id]) => [String(id), token]),
  );
  const ids = new Map(firstSymbols.map((symbol, id) => [symbol, id]));
  const symbols = new Set(firstSymbols);
  let next = firstSymbols.length;
  readLines(dictionary).forEach((line, i) => {
    const where = `${dictionary}:${i + 1}`;
    const entry = dictionaryLine(where, line);
    if (symbols.has(entry.symbol) && !entry.overwrite) {
      throw new UserError('files', `${where}: symbol "${entry.symbol}" comes a second time`);
    }
    symbols.add(entry.symbol);
    const spelling = spellings.get(entry.symbol);
    if (spelling === undefined && /^\d+$/u.test(entry.symbol)) {
      throw new UserError('files', `${where}: ${encoder} has no token with the id ${entry.symbol}`);
    }
    ids.set(spelling ?? entry.symbol, next);
    next += 1;
  });
  if (!ids.has(maskSymbol)) ids.set(maskSymbol, next);
  return ids;
}

/** One line `<symbol> <count>`, or `<symbol> <count> #fairseq:overwrite` (fairseq's Dictionary.add_from_file). */
function dictionaryLine(where: string, line: string): { symbol: string; overwrite: boolean } {
  const match = /^(.+?) \d+( #fairseq:overwrite)?\s*$/u.exec(line);
  if (match === null) {
    throw new UserError('files', `${where}: got ${JSON.stringify(line)}, expected a symbol and its count`);
  }
  return { symbol: match[1]!, overwrite: match[2] !== undefined };
}
