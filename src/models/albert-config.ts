import { z } from 'zod';
import { activation, checkHeads, encoderFields, rate, size, tokenId } from './config-fields.js';

/** Hugging Face's `config.json` of an ALBERT (transformers `AlbertConfig`). */
export const albertConfigSchema = z
  .object({
    model_type: z.literal('albert'),
    ...encoderFields,
    embedding_size: size.default(128).describe('width of the embeddings'),
    num_hidden_groups: size
      .default(1)
      .describe('sets of weights that the layers share; of more sets than layers some are not used'),
    inner_group_num: size.default(1).describe('blocks in a group'),
    hidden_act: activation.default('gelu_new'),
    hidden_dropout_prob: rate.default(0),
    attention_probs_dropout_prob: rate.default(0),
    classifier_dropout_prob: rate.nullish().transform((value) => value ?? 0.1),
    pad_token_id: tokenId.nullish(),
  })
  .superRefine(checkHeads);

/** A checked configuration, keys as in the file. */
export type AlbertConfig = z.infer<typeof albertConfigSchema>;
