import { addedTokensOf } from './added-tokens.js';
import { casedNote, isCased } from './casing.js';
import { specialTokens, type TokenizerConfig } from './config.js';
import { bertTemplate, type TokenizerContent } from './content.js';
import { readLines } from './lines-file.js';

/**
 * The tokenizer of a bare vocab.txt (BERT, DistilBERT, ELECTRA, MacBERT, RoBERTa-wwm-ext), as Transformers'
 * BertTokenizer builds it: lower-casing, splitting of Chinese characters, and accents stripped when lower-casing, unless
 * tokenizer_config.json says otherwise. Where it does not speak of lower-casing and the vocabulary is a cased one, texts
 * keep their case (Transformers lower-cases them, which makes most names unknown).
 *
 * @throws UserError 'files' when the file cannot be read as UTF-8 or lacks a special token
 */
export function tokenizerFromVocab(path: string, config: TokenizerConfig): TokenizerContent {
  const ids = new Map(readLines(path).map((token, id) => [token, id]));
  const names = specialTokens(path, config, (token) => ids.has(token));
  const keepCase = config.lowercase === undefined && isCased((token) => ids.has(token));
  const json = {
    added_tokens: addedTokensOf(ids, names, config, false),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: !keepCase,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: bertTemplate(names),
    decoder: { type: 'WordPiece', prefix: '##' },
    model: {
      type: 'WordPiece',
      unk_token: names.unk,
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(ids),
    },
  };
  return { path, json, notes: keepCase ? [casedNote(path)] : [] };
}
