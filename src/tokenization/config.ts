import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../errors.js';
import { readJsonFile } from './json-file.js';
import type { BertSettings } from './normalizer.js';

const writtenToken = z.looseObject({
  content: z.string(),
  lstrip: z.boolean().optional(),
  rstrip: z.boolean().optional(),
  single_word: z.boolean().optional(),
  normalized: z.boolean().optional(),
  special: z.boolean().optional(),
});

/** A token as a settings file writes it: its spelling, and which blanks beside it belong to it where the file says so. */
export type WrittenToken = z.infer<typeof writtenToken>;

// A special token is spelled out, or is an object with the spelling in it; null is "none".
const namedToken = z
  .union([z.string(), writtenToken])
  .nullish()
  .transform((value): WrittenToken | undefined =>
    typeof value === 'string' ? { content: value } : (value ?? undefined),
  );

const specialNames = {
  pad_token: namedToken,
  unk_token: namedToken,
  cls_token: namedToken,
  sep_token: namedToken,
  mask_token: namedToken,
};

const tokenList = z.array(namedToken).optional();

const mapSchema = z.looseObject({ ...specialNames, additional_special_tokens: tokenList });

const configSchema = z.looseObject({
  ...specialNames,
  additional_special_tokens: tokenList,
  added_tokens_decoder: z.record(z.string().regex(/^\d+$/u), writtenToken).optional(),
  tokenizer_class: z.string().nullish(),
  do_lower_case: z.boolean().optional(),
  strip_accents: z.boolean().nullable().optional(),
  tokenize_chinese_chars: z.boolean().optional(),
  add_prefix_space: z.boolean().optional(),
  keep_accents: z.boolean().optional(),
  truncation_side: z.string().optional(),
  split_special_tokens: z.boolean().optional(),
});

const addedTokensSchema = z.record(z.string(), z.int().nonnegative());

export type SpecialToken = 'pad' | 'unk' | 'cls' | 'sep' | 'mask';

const kinds = ['pad', 'unk', 'cls', 'sep', 'mask'] as const;

/** What tokenizer_config.json and special_tokens_map.json say, as far as it changes ids. */
export interface TokenizerConfig {
  /** The whole of tokenizer_config.json, for the library. */
  raw: Readonly<Record<string, unknown>>;
  names: Readonly<Partial<Record<SpecialToken, string | undefined>>>;
  bert: BertSettings;
  /** Whether texts are lower-cased, for a tokenizer that comes as a bare vocabulary; undefined: it does not say. */
  lowercase: boolean | undefined;
  /** Byte-level BPE: whether a text begins as after a space. */
  addPrefixSpace: boolean | undefined;
  /** ALBERT: whether accents stay. */
  keepAccents: boolean | undefined;
  /** Tokens written out as objects, and those beside the five special ones; an id where the file gives one. */
  written: readonly (WrittenToken & { id?: number | undefined })[];
}

/** Classes that take tokenizer.json as it is; Transformers' own classes rebuild it from the settings beside it. */
const verbatimClasses = ['PreTrainedTokenizerFast', 'TokenizersBackend'];

/**
 * Reads tokenizer_config.json, special_tokens_map.json and added_tokens.json where the folder has them.
 *
 * @throws UserError 'files' for a broken file, or a setting that would change ids and is not supported
 */
export function readTokenizerConfig(folder: string): TokenizerConfig {
  const path = join(folder, 'tokenizer_config.json');
  const config = existsSync(path) ? readJsonFile(path, configSchema) : configSchema.parse({});
  const mapPath = join(folder, 'special_tokens_map.json');
  const map = existsSync(mapPath) ? readJsonFile(mapPath, mapSchema) : mapSchema.parse({});
  const addedPath = join(folder, 'added_tokens.json');
  const added = existsSync(addedPath) ? readJsonFile(addedPath, addedTokensSchema) : {};
  if (config.truncation_side !== undefined && config.truncation_side !== 'right') {
    throw new UserError('files', `${path}: truncation_side is "${config.truncation_side}", only "right" is supported`);
  }
  if (config.split_special_tokens === true) {
    throw new UserError('files', `${path}: split_special_tokens is true, only false is supported`);
  }
  const verbatim = verbatimClasses.includes(config.tokenizer_class ?? '');
  const named = kinds.map((kind) => [kind, config[`${kind}_token`] ?? map[`${kind}_token`]] as const);
  const more = config.additional_special_tokens ?? map.additional_special_tokens ?? [];
  return {
    raw: config,
    names: Object.fromEntries(named.map(([kind, token]) => [kind, token?.content])),
    bert: verbatim
      ? {}
      : {
          lowercase: config.do_lower_case,
          stripAccents: config.strip_accents,
          chineseChars: config.tokenize_chinese_chars,
        },
    lowercase: config.do_lower_case,
    addPrefixSpace: verbatim ? undefined : config.add_prefix_space,
    keepAccents: config.keep_accents,
    written: [
      ...Object.entries(config.added_tokens_decoder ?? {}).map(([id, token]) => ({ ...token, id: Number(id) })),
      ...named.map(([, token]) => token).filter((token) => token !== undefined),
      ...Object.entries(added).map(([content, id]) => ({ content, id })),
      ...more.filter((token) => token !== undefined).map((token) => ({ ...token, special: true })),
    ],
  };
}

const wellKnown: Record<SpecialToken, readonly string[]> = {
  pad: ['[PAD]', '<pad>'],
  unk: ['[UNK]', '<unk>'],
  cls: ['[CLS]', '<s>'],
  sep: ['[SEP]', '</s>'],
  mask: ['[MASK]', '<mask>'],
};

export type SpecialTokens = Record<Exclude<SpecialToken, 'mask'>, string> & { mask: string | undefined };

/**
 * Spellings of the special tokens: the configured ones, else the usual ones that the vocabulary has. A mask may be
 * missing.
 *
 * @param path the vocabulary's file, for the message
 * @throws UserError 'files' with what was looked for
 */
export function specialTokens(path: string, config: TokenizerConfig, has: (token: string) => boolean): SpecialTokens {
  const candidates = (kind: SpecialToken): readonly string[] => {
    const configured = config.names[kind];
    return configured === undefined ? wellKnown[kind] : [configured];
  };
  const find = (kind: SpecialToken) => candidates(kind).find(has);
  const [pad, unk, cls, sep] = [find('pad'), find('unk'), find('cls'), find('sep')];
  if (pad === undefined || unk === undefined || cls === undefined || sep === undefined) {
    const missing = kinds
      .filter((kind) => kind !== 'mask' && find(kind) === undefined)
      .map((kind) => candidates(kind).join(' or '));
    throw new UserError(
      'files',
      `${path}: no ${missing.join(', no ')} in the vocabulary`,
      'the folder should be one that a BERT-family model was published in',
    );
  }
  return { pad, unk, cls, sep, mask: find('mask') };
}
