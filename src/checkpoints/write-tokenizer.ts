import { copyFileSync, existsSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../errors.js';
import { maxTokens, type ModelConfig, type ModelType } from '../models/model-config.js';
import { findFairseqFiles, writeFairseqVocabulary } from '../tokenization/fairseq.js';
import { loadTokenizer } from '../tokenization/load.js';
import { readJson, writeJson } from './json.js';

/** The tokenizer's files of a model that is written. */

export interface WrittenTokenizer {
  /** Names of the files. */
  readonly files: readonly string[];
  readonly padTokenId: number | undefined;
  /** What a user has to know or do: a sentence each. */
  readonly notes: readonly string[];
}

const vocabularies = ['tokenizer.json', 'vocab.json', 'vocab.txt', 'spiece.model', '30k-clean.model'];

/** What only fairseq reads, and what is written out of it. */
const fairseqOnly = ['dict.txt', 'encoder.json', 'vocab.bpe'];

/**
 * Copies the tokenizer's files, or writes vocab.json and merges.txt of fairseq's. To Hugging Face a bare vocabulary gets
 * a tokenizer_config.json that says what t4 does with it, because Transformers would guess otherwise; to TensorFlow a
 * lone tokenizer.json gets the vocabulary as a file of its own, which is what Google's programs read.
 *
 * @throws UserError 'files' where a file is broken; a folder without a tokenizer is a note
 */
export function writeTokenizer(
  source: string,
  target: string,
  config: ModelConfig,
  format: 'huggingface' | 'tensorflow',
): WrittenTokenizer {
  const at = (name: string): string => join(source, name);
  const isBare = !vocabularies.some((name) => existsSync(at(name)));
  if (isBare && !(existsSync(at('dict.txt')) && hasFairseqFiles(source))) {
    return { files: [], padTokenId: undefined, notes: [missingNote(source, config)] };
  }
  const tokenizer = loadTokenizer(source);
  const notes = [...tokenizer.notes, ...sizeNotes(tokenizer.vocabSize, config)];
  const files: string[] = [];
  for (const file of tokenizer.files.filter((path) => !fairseqOnly.includes(basename(path)))) {
    // Transformers looks for ALBERT's model under this name only.
    const name = basename(file).replace(/^30k-clean\.model$/, 'spiece.model');
    copyFileSync(file, join(target, name));
    files.push(name);
  }
  const add = (...names: readonly string[]): void => {
    files.push(...names.filter((name) => !files.includes(name)));
  };
  const fairseq = isBare ? findFairseqFiles(source) : undefined;
  if (fairseq !== undefined) add(...writeFairseqVocabulary(fairseq, target).map((path) => basename(path)));
  if (format === 'huggingface') {
    if (!files.includes('tokenizer_config.json') && !files.includes('tokenizer.json')) {
      const lowercase = tokenizer.notes.length === 0; // A note is what a cased vocabulary gets.
      writeJson(join(target, 'tokenizer_config.json'), tokenizerConfig(files, config, lowercase));
      add('tokenizer_config.json');
    }
  } else if (!files.some((name) => /^vocab\.|\.model$/.test(name))) {
    add(...writeVocabulary(join(target, 'tokenizer.json'), target));
  }
  return { files, padTokenId: tokenizer.padTokenId, notes };
}

const sizeNotes = (tokens: number, { vocab_size: rows }: ModelConfig): string[] =>
  tokens > rows
    ? [`the tokenizer has ${tokens} tokens, the model ${rows} rows for them: they are of different models`]
    : [];

const hasFairseqFiles = (folder: string): boolean =>
  existsSync(join(folder, 'encoder.json')) &&
  ['vocab.bpe', 'merges.txt'].some((name) => existsSync(join(folder, name)));

function missingNote(folder: string, config: ModelConfig): string {
  const wanted =
    config.model_type === 'roberta' ? 'vocab.json and merges.txt' : 'vocab.txt (or tokenizer.json, spiece.model)';
  const half = existsSync(join(folder, 'dict.txt'))
    ? 'dict.txt numbers the tokens of GPT-2 without spelling them, and encoder.json and vocab.bpe are not beside it'
    : 'no tokenizer';
  return `${folder}: ${half}; before the model can be used, put ${wanted} into its folder`;
}

const tokenizerClasses: Readonly<Record<ModelType, string>> = {
  bert: 'BertTokenizer',
  albert: 'AlbertTokenizer',
  albert_zh: 'BertTokenizer',
  distilbert: 'DistilBertTokenizer',
  roberta: 'RobertaTokenizer',
  electra: 'ElectraTokenizer',
};

function tokenizerConfig(files: readonly string[], config: ModelConfig, lowercase: boolean): Record<string, unknown> {
  const common = { model_max_length: maxTokens(config) };
  if (files.includes('vocab.json')) return { tokenizer_class: 'RobertaTokenizer', ...common, add_prefix_space: false };
  const family = tokenizerClasses[config.model_type];
  // Chinese ALBERTs and RoBERTas have BERT's vocabulary.
  const isPlain = files.includes('vocab.txt') && ['AlbertTokenizer', 'RobertaTokenizer'].includes(family);
  return { tokenizer_class: isPlain ? 'BertTokenizer' : family, ...common, do_lower_case: lowercase };
}

const tokenizerSchema = z.object({
  added_tokens: z.array(z.object({ id: z.int().nonnegative(), content: z.string() })),
  model: z.object({
    type: z.string().optional(),
    vocab: z.union([z.record(z.string(), z.int().nonnegative()), z.array(z.tuple([z.string(), z.number()]))]),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])).optional(),
  }),
});

/** vocab.txt, or vocab.json and merges.txt, of a tokenizer.json; nothing for what neither can express. */
function writeVocabulary(path: string, folder: string): string[] {
  const parsed = tokenizerSchema.safeParse(readJson(path, `${path} does not exist`));
  if (!parsed.success) throw new UserError('files', `${path}: ${z.prettifyError(parsed.error)}`);
  const { model, added_tokens: added } = parsed.data;
  if (Array.isArray(model.vocab)) return [];
  const ids = new Map(Object.entries(model.vocab));
  for (const { content, id } of added) ids.set(content, id);
  const entries = [...ids].sort(([, a], [, b]) => a - b);
  if (model.merges !== undefined) {
    // Not by way of an object, which would put tokens such as "0" first.
    const vocab = entries.map(([token, id]) => `${JSON.stringify(token)}: ${id}`).join(', ');
    const merges = model.merges.map((merge) => (typeof merge === 'string' ? merge : merge.join(' ')));
    writeFileSync(join(folder, 'vocab.json'), `{${vocab}}`);
    writeFileSync(join(folder, 'merges.txt'), `#version: 0.2\n${merges.join('\n')}\n`);
    return ['vocab.json', 'merges.txt'];
  }
  const isWhole = entries.every(([token, id], line) => id === line && !/[\r\n]/.test(token));
  if (!isWhole) return [];
  writeFileSync(join(folder, 'vocab.txt'), entries.map(([token]) => `${token}\n`).join(''));
  return ['vocab.txt'];
}
