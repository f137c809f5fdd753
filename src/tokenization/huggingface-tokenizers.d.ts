// The part of the library that we use. Its own declarations import without file extensions, which TypeScript does not
// resolve for an ES module: every name in them would be of type `any`. A declaration here goes before them.
declare module '@huggingface/tokenizers' {
  export interface PostProcessor {
    post_process(
      tokens: string[],
      pair: string[] | null,
      addSpecialTokens: boolean,
    ): { tokens: string[]; token_type_ids?: number[] };
  }

  export class Tokenizer {
    /** @throws Error on a part that it does not know */
    constructor(tokenizer: object, config: object);
    /** Pieces of text to tokens, by BPE, WordPiece or the like. */
    readonly model: (pieces: string[]) => string[];
    readonly post_processor: PostProcessor | null;
  }

  export class BertNormalizer {
    constructor(config: object);
    normalize(text: string): string;
  }

  export class ReplaceNormalizer {
    constructor(config: object);
    normalize(text: string): string;
  }

  export class SplitPreTokenizer {
    constructor(config: object);
    pre_tokenize_text(text: string): string[];
  }

  export class PunctuationPreTokenizer {
    constructor(config: object);
    pre_tokenize_text(text: string): string[];
  }

  export class DigitsPreTokenizer {
    constructor(config: object);
    pre_tokenize_text(text: string): string[];
  }
}
