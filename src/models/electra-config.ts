import { z } from 'zod';
import { activation, checkHeads, encoderFields, rate, size, tokenId } from './config-fields.js';

/** Hugging Face's `config.json` of an ELECTRA, discriminator or generator (transformers `ElectraConfig`). */
export const electraConfigSchema = z
  .object({
    model_type: z.literal('electra'),
    ...encoderFields,
    embedding_size: size.default(128).describe('width of the embeddings'),
    hidden_act: activation.default('gelu'),
    hidden_dropout_prob: rate.default(0.1),
    attention_probs_dropout_prob: rate.default(0.1),
    classifier_dropout: rate.nullish().describe('null: as hidden_dropout_prob'),
    pad_token_id: tokenId.nullish(),
  })
  .superRefine(checkHeads);

/** A checked configuration, keys as in the file. */
export type ElectraConfig = z.infer<typeof electraConfigSchema>;
