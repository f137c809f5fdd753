import { z } from 'zod';
import { activation, checkHeads, encoderFields, only, rate, size, tokenId } from './config-fields.js';

/**
 * The configuration of an ALBERT of albert_zh's first releases, with the keys of Transformers' `AlbertConfig`, which has
 * no class for it: `model_type` is t4's own.
 */
export const albertZhConfigSchema = z
  .object({
    model_type: z.literal('albert_zh'),
    ...encoderFields,
    embedding_size: size.default(128).describe('width of the table of the words'),
    num_hidden_groups: only(1),
    inner_group_num: only(1),
    ln_type: only('postln'),
    tie_word_embeddings: only(true),
    hidden_act: activation.default('gelu_new'),
    hidden_dropout_prob: rate.default(0),
    attention_probs_dropout_prob: rate.default(0),
    classifier_dropout_prob: rate.nullish().transform((value) => value ?? 0.1),
    pad_token_id: tokenId.nullish(),
  })
  .superRefine(checkHeads);

/** A checked configuration, keys as in the file. */
export type AlbertZhConfig = z.infer<typeof albertZhConfigSchema>;
