import { readFileSync } from 'node:fs';
import { UserError } from '../errors.js';
import { specialTokens, type TokenizerConfig } from './config.js';

/**
 * Lines of a vocab.txt: the token of line i has id i.
 *
 * Only \n ends a line and nothing is trimmed: bert-base-chinese has U+2028 as a token, and dropping it would shift
 * every later id. A \r before the \n comes from a checkout on Windows.
 */
export function vocabLines(text: string): string[] {
  const lines = text.replace(/^\uFEFF/u, '').split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
}

/**
 * The content of a tokenizer.json for a bare vocab.txt, as Transformers' BertTokenizer builds it: lower-casing,
 * splitting of Chinese characters, and accents stripped when lower-casing, unless tokenizer_config.json says otherwise.
 *
 * @throws UserError 'files' when the file cannot be read as UTF-8 or lacks a special token
 */
export function tokenizerFromVocab(path: string, config: TokenizerConfig): Record<string, unknown> {
  const ids = new Map(vocabLines(readUtf8(path)).map((token, id) => [token, id]));
  const names = specialTokens(path, config, (token) => ids.has(token));
  const special = [names.pad, names.unk, names.cls, names.sep, names.mask].filter((name) => name !== undefined);
  return {
    added_tokens: special.map((content) => ({ id: ids.get(content), content, special: true, normalized: false })),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [specialPiece(names.cls, 0), textPiece('A', 0), specialPiece(names.sep, 0)],
      pair: [
        specialPiece(names.cls, 0),
        textPiece('A', 0),
        specialPiece(names.sep, 0),
        textPiece('B', 1),
        specialPiece(names.sep, 1),
      ],
    },
    decoder: { type: 'WordPiece', prefix: '##' },
    model: {
      type: 'WordPiece',
      unk_token: names.unk,
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(ids),
    },
  };
}

const specialPiece = (id: string, type: number) => ({ SpecialToken: { id, type_id: type } });
const textPiece = (id: string, type: number) => ({ Sequence: { id, type_id: type } });

function readUtf8(path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(readFileSync(path));
  } catch (error) {
    throw new UserError('files', `${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
