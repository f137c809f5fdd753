import { z } from 'zod';
import { activation, checkHeads, encoderFields, rate, size, tokenId } from './config-fields.js';

/**
 * Hugging Face's `config.json` of a BERT (transformers `BertConfig`). Extra keys are allowed where they do not
 * change the arithmetic; each that does is obeyed or refused here.
 */
export const bertConfigSchema = z
  .object({
    model_type: z.literal('bert').default('bert'),
    ...encoderFields,
    hidden_act: activation.default('gelu'),
    hidden_dropout_prob: rate.default(0.1),
    attention_probs_dropout_prob: rate.default(0.1),
    classifier_dropout: rate.nullish().describe('null: as hidden_dropout_prob'),
    pad_token_id: tokenId.nullish(),
    embedding_size: size.optional(),
  })
  .superRefine((config, context) => {
    checkHeads(config, context);
    if (config.embedding_size !== undefined && config.embedding_size !== config.hidden_size) {
      const message = `BERT's embedding is as wide as its hidden states (${config.hidden_size})`;
      context.addIssue({ code: 'custom', path: ['embedding_size'], message });
    }
  });

/** A checked configuration, keys as in the file. */
export type BertConfig = z.infer<typeof bertConfigSchema>;
