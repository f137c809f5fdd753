import { addedTokensOf } from './added-tokens.js';
import { casedNote, isCased } from './casing.js';
import { specialTokens, type TokenizerConfig } from './config.js';
import { bertTemplate, type TokenizerContent } from './content.js';
import { readSentencePiece } from './sentencepiece.js';

/**
 * The tokenizer of ALBERT's spiece.model, as the tokenizer.json of the published models has it (Transformers'
 * AlbertConverter): quotes made one kind, accents stripped unless keep_accents, lower-casing unless do_lower_case is
 * false, SentencePiece's own normalization, then its unigram model on each word.
 *
 * User-defined symbols of the model are tokens like others, not split off before: "(a" is "▁", "(", "a", as SentencePiece
 * cuts it. A comma after a digit is a token of its own, as in ALBERT's own code.
 *
 * @throws UserError 'files' when the file is no unigram model or lacks a special token
 */
export function tokenizerFromSentencePiece(path: string, config: TokenizerConfig): TokenizerContent {
  const { pieces, unknownId, charsmap } = readSentencePiece(path);
  const ids = new Map(pieces.map(({ piece }, id) => [piece, id]));
  const names = specialTokens(path, config, (token) => ids.has(token));
  const keepCase = config.lowercase === undefined && isCased((token) => ids.has(token), '▁');
  const lowercase = config.lowercase ?? !keepCase;
  const json = {
    added_tokens: addedTokensOf(ids, names, config, true),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Replace', pattern: { String: '``' }, content: '"' },
        { type: 'Replace', pattern: { String: "''" }, content: '"' },
        ...(config.keepAccents === true ? [] : [{ type: 'NFKD' }, { type: 'StripAccents' }]),
        ...(lowercase ? [{ type: 'Lowercase' }] : []),
        { type: 'Precompiled', precompiled_charsmap: Buffer.from(charsmap).toString('base64') },
      ],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'WhitespaceSplit' },
        {
          type: 'Metaspace',
          replacement: '▁',
          prepend_scheme: config.addPrefixSpace === false ? 'never' : 'always',
          split: true,
        },
      ],
    },
    post_processor: bertTemplate(names),
    decoder: { type: 'Metaspace', replacement: '▁' },
    model: {
      type: 'Unigram',
      unk_id: unknownId,
      vocab: pieces.map(({ piece, score }) => [piece, /\p{N},$/u.test(piece) ? score - numberCommaPenalty : score]),
    },
  };
  return { path, json, notes: keepCase ? [casedNote(path)] : [] };
}

// AlbertConverter's; it keeps "2," from being one token.
const numberCommaPenalty = 100;
