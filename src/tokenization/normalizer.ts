import { BertNormalizer, ReplaceNormalizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import { createPrecompiled } from './precompiled.js';

/** Settings of tokenizer_config.json that Transformers puts in place of those in tokenizer.json. */
export interface BertSettings {
  lowercase?: boolean | undefined;
  /** null: as `lowercase`. */
  stripAccents?: boolean | null | undefined;
  chineseChars?: boolean | undefined;
}

export type Normalizer = (text: string) => string;

const normalizerSchema = z.looseObject({ type: z.string() });
const sequenceSchema = z.object({ normalizers: z.array(z.unknown()) });
const stripSchema = z.object({ strip_left: z.boolean(), strip_right: z.boolean() });
const replaceSchema = z.object({
  pattern: z.union([z.object({ String: z.string() }), z.object({ Regex: z.string() })]),
  content: z.string(),
});
const precompiledSchema = z.object({ precompiled_charsmap: z.base64().nullish() });

/**
 * The normalizer of a tokenizer.json, giving what the Rust library gives.
 *
 * The JavaScript library walks a text by UTF-16 units when it splits Chinese characters, so those beyond U+FFFF (rare
 * ones, in names mostly) stay in one word; JavaScript lower-cases a Σ at the end of a word to ς, where Rust gives σ
 * always; and the library has a guess in place of SentencePiece's Precompiled. All three are mended here.
 *
 * What remains different are 658 code points of 1,112,064 that Unicode added or reclassified since the tables of the
 * Rust library were made: combining marks and punctuation of scripts that no BERT vocabulary has, and U+2E43-2E5D
 * (counted with Node 20.20 and tokenizers 0.23.3). With ALBERT's normalizer 480 combining marks of that kind differ; with
 * byte-level BPE, which has none, no code point does.
 *
 * @throws ZodError when it is not a normalizer, Error when it is one that is not supported
 */
export function createNormalizer(json: unknown, settings: BertSettings): Normalizer {
  if (json === null || json === undefined) return (text) => text;
  const config = normalizerSchema.parse(json);
  switch (config.type) {
    case 'Sequence': {
      const parts = sequenceSchema.parse(config).normalizers.map((part) => createNormalizer(part, settings));
      return (text) => parts.reduce((before, part) => part(before), text);
    }
    case 'BertNormalizer':
      return bertNormalizer({
        ...config,
        ...(settings.lowercase === undefined ? {} : { lowercase: settings.lowercase }),
        ...(settings.stripAccents === undefined ? {} : { strip_accents: settings.stripAccents }),
        ...(settings.chineseChars === undefined ? {} : { handle_chinese_chars: settings.chineseChars }),
      });
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD': {
      const form = config.type;
      return (text) => text.normalize(form);
    }
    case 'Lowercase':
      return (text) => lowerSigma(text).toLowerCase();
    case 'StripAccents':
      return (text) => text.replace(/\p{M}/gu, '');
    case 'Strip':
      return strip(stripSchema.parse(config));
    case 'Replace':
      return replace(replaceSchema.parse(config));
    case 'Precompiled': {
      const charsmap = precompiledSchema.parse(config).precompiled_charsmap ?? '';
      return charsmap === '' ? (text) => text : createPrecompiled(Buffer.from(charsmap, 'base64'));
    }
    default:
      throw new Error(`the normalizer ${config.type} is not supported`);
  }
}

function bertNormalizer(config: z.infer<typeof normalizerSchema>): Normalizer {
  const library = new BertNormalizer(config);
  const [chinese, lowercase] = [config.handle_chinese_chars === true, config.lowercase === true];
  return (text) => {
    const spaced = chinese ? text.replace(astralChinese, ' $& ') : text;
    return library.normalize(lowercase ? lowerSigma(spaced) : spaced);
  };
}

const lowerSigma: Normalizer = (text) => text.replaceAll('Σ', 'σ');

// The ranges of `is_chinese_char` in the Rust library, which begins the fourth at 2B920 where BERT has 2B820.
const astralChinese =
  /[\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\u{2F800}-\u{2FA1F}]/gu;

function strip({ strip_left, strip_right }: z.infer<typeof stripSchema>): Normalizer {
  return (text) => {
    const begun = strip_left ? text.replace(/^\p{White_Space}+/u, '') : text;
    return strip_right ? begun.replace(/(?<!\p{White_Space})\p{White_Space}+$/u, '') : begun;
  };
}

function replace({ pattern, content }: z.infer<typeof replaceSchema>): Normalizer {
  if ('String' in pattern) return (text) => text.replaceAll(pattern.String, () => content);
  // A "$" means nothing in the content of a tokenizer.json.
  const library = new ReplaceNormalizer({ pattern, content: content.replaceAll('$', '$$$$') });
  return (text) => library.normalize(text);
}
