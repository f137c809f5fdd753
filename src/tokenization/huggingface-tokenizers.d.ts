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
    readonly post_processor: PostProcessor | null;
    encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
    token_to_id(token: string): number | undefined;
    id_to_token(id: number): string | undefined;
    get_vocab(): Map<string, number>;
  }
}
