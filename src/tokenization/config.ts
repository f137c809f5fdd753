import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../errors.js';
import { readJsonFile } from './json-file.js';
import type { BertSettings } from './normalizer.js';

// A special token is spelled out, or is an object with the spelling in it; null is "none".
const tokenName = z
  .union([z.string(), z.looseObject({ content: z.string() })])
  .nullish()
  .transform((value) => (typeof value === 'object' ? value?.content : value));

const specialNames = {
  pad_token: tokenName,
  unk_token: tokenName,
  cls_token: tokenName,
  sep_token: tokenName,
  mask_token: tokenName,
};

const mapSchema = z.looseObject(specialNames);

const configSchema = z.looseObject({
  ...specialNames,
  tokenizer_class: z.string().nullish(),
  do_lower_case: z.boolean().optional(),
  strip_accents: z.boolean().nullable().optional(),
  tokenize_chinese_chars: z.boolean().optional(),
  truncation_side: z.string().optional(),
  split_special_tokens: z.boolean().optional(),
});

export type SpecialToken = 'pad' | 'unk' | 'cls' | 'sep' | 'mask';

/** What tokenizer_config.json and special_tokens_map.json say, as far as it changes ids. */
export interface TokenizerConfig {
  /** The whole of tokenizer_config.json, for the library. */
  raw: Readonly<Record<string, unknown>>;
  names: Readonly<Partial<Record<SpecialToken, string | undefined>>>;
  bert: BertSettings;
}

/** Classes that take tokenizer.json as it is; Transformers' BERT classes rebuild it from the settings beside it. */
const verbatimClasses = ['PreTrainedTokenizerFast', 'TokenizersBackend'];

/**
 * Reads tokenizer_config.json and special_tokens_map.json where the folder has them.
 *
 * @throws UserError 'files' for a broken file, or a setting that would change ids and is not supported
 */
export function readTokenizerConfig(folder: string): TokenizerConfig {
  const path = join(folder, 'tokenizer_config.json');
  const config = existsSync(path) ? readJsonFile(path, configSchema) : configSchema.parse({});
  const mapPath = join(folder, 'special_tokens_map.json');
  const map = existsSync(mapPath) ? readJsonFile(mapPath, mapSchema) : mapSchema.parse({});
  if (config.truncation_side !== undefined && config.truncation_side !== 'right') {
    throw new UserError('files', `${path}: truncation_side is "${config.truncation_side}", only "right" is supported`);
  }
  if (config.split_special_tokens === true) {
    throw new UserError('files', `${path}: split_special_tokens is true, only false is supported`);
  }
  const verbatim = verbatimClasses.includes(config.tokenizer_class ?? '');
  return {
    raw: config,
    names: {
      pad: config.pad_token ?? map.pad_token,
      unk: config.unk_token ?? map.unk_token,
      cls: config.cls_token ?? map.cls_token,
      sep: config.sep_token ?? map.sep_token,
      mask: config.mask_token ?? map.mask_token,
    },
    bert: verbatim
      ? {}
      : {
          lowercase: config.do_lower_case,
          stripAccents: config.strip_accents,
          chineseChars: config.tokenize_chinese_chars,
        },
  };
}

const wellKnown: Record<SpecialToken, readonly string[]> = {
  pad: ['[PAD]', '<pad>'],
  unk: ['[UNK]', '<unk>'],
  cls: ['[CLS]', '<s>'],
  sep: ['[SEP]', '</s>'],
  mask: ['[MASK]', '<mask>'],
};

/**
 * Spellings of the special tokens: the configured ones, else the usual ones that the vocabulary has. A mask may be
 * missing.
 *
 * @param path the vocabulary's file, for the message
 * @throws UserError 'files' with what was looked for
 */
export function specialTokens(
  path: string,
  config: TokenizerConfig,
  has: (token: string) => boolean,
): Record<Exclude<SpecialToken, 'mask'>, string> & { mask: string | undefined } {
  const candidates = (kind: SpecialToken): readonly string[] => {
    const configured = config.names[kind];
    return configured === undefined ? wellKnown[kind] : [configured];
  };
  const find = (kind: SpecialToken) => candidates(kind).find(has);
  const [pad, unk, cls, sep] = [find('pad'), find('unk'), find('cls'), find('sep')];
  if (pad === undefined || unk === undefined || cls === undefined || sep === undefined) {
    const kinds = ['pad', 'unk', 'cls', 'sep'] as const;
    const missing = kinds.filter((kind) => find(kind) === undefined).map((kind) => candidates(kind).join(' or '));
    throw new UserError(
      'files',
      `${path}: no ${missing.join(', no ')} in the vocabulary`,
      'the folder should be one that a BERT-family model was published in',
    );
  }
  return { pad, unk, cls, sep, mask: find('mask') };
}
