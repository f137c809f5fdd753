import { z } from 'zod';

/** Settings of tokenizer_config.json that Transformers puts in place of those in tokenizer.json. */
export interface BertSettings {
  lowercase?: boolean | undefined;
  /** null: as `lowercase`. */
  stripAccents?: boolean | null | undefined;
  chineseChars?: boolean | undefined;
}

const normalizerSchema = z.looseObject({ type: z.string(), normalizers: z.array(z.unknown()).optional() });

/**
 * The normalizer of a tokenizer.json, changed so that the JavaScript library gives what the Rust one gives.
 *
 * The library walks a text by UTF-16 units when it splits Chinese characters, so those beyond U+FFFF (rare ones, in
 * names mostly) stay in one word; and JavaScript lower-cases a Σ at the end of a word to ς, where Rust gives σ always.
 * Both are mended by a replacement in front.
 *
 * What remains different are 658 code points of 1,112,064 that Unicode added or reclassified since the tables of the
 * Rust library were made: combining marks and punctuation of scripts that no BERT vocabulary has, and U+2E43-2E5D
 * (counted with Node 20.20 and tokenizers 0.23.3).
 *
 * @throws ZodError when it is not a normalizer
 */
export function matchReference(normalizer: unknown, settings: BertSettings): unknown {
  if (normalizer === null) return null;
  const parsed = normalizerSchema.parse(normalizer);
  switch (parsed.type) {
    case 'Sequence':
      return { ...parsed, normalizers: (parsed.normalizers ?? []).map((part) => matchReference(part, settings)) };
    case 'Lowercase':
      return { type: 'Sequence', normalizers: [lowerSigma, parsed] };
    case 'BertNormalizer':
      return bertNormalizer({
        ...parsed,
        ...(settings.lowercase === undefined ? {} : { lowercase: settings.lowercase }),
        ...(settings.stripAccents === undefined ? {} : { strip_accents: settings.stripAccents }),
        ...(settings.chineseChars === undefined ? {} : { handle_chinese_chars: settings.chineseChars }),
      });
    default:
      return parsed;
  }
}

function bertNormalizer(config: z.infer<typeof normalizerSchema>): unknown {
  const before = [];
  if (config.handle_chinese_chars === true) before.push(spaceAstralChinese);
  if (config.lowercase === true) before.push(lowerSigma);
  return { type: 'Sequence', normalizers: [...before, config] };
}

const lowerSigma = { type: 'Replace', pattern: { String: 'Σ' }, content: 'σ' };

// The ranges of `is_chinese_char` in the Rust library, which begins the fourth at 2B920 where BERT has 2B820.
const spaceAstralChinese = {
  type: 'Replace',
  pattern: {
    Regex:
      '[\\x{20000}-\\x{2A6DF}\\x{2A700}-\\x{2B73F}\\x{2B740}-\\x{2B81F}\\x{2B920}-\\x{2CEAF}\\x{2F800}-\\x{2FA1F}]',
  },
  content: ' $& ',
};
