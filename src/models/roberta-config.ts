import { z } from 'zod';
import { activation, checkHeads, encoderFields, rate, tokenId } from './config-fields.js';

/** Hugging Face's `config.json` of a RoBERTa (transformers `RobertaConfig`). */
export const robertaConfigSchema = z
  .object({
    model_type: z.literal('roberta'),
    ...encoderFields,
    hidden_act: activation.default('gelu'),
    hidden_dropout_prob: rate.default(0.1),
    attention_probs_dropout_prob: rate.default(0.1),
    classifier_dropout: rate.nullish().describe('null: as hidden_dropout_prob'),
    pad_token_id: tokenId.default(1).describe('positions are counted from the row behind this one'),
  })
  .superRefine((config, context) => {
    checkHeads(config, context);
    const { pad_token_id: pad, max_position_embeddings: rows } = config;
    if (rows <= pad + 1) {
      const message = `${rows} rows, of which the first ${pad + 1} (up to pad_token_id) stand for no position`;
      context.addIssue({ code: 'custom', path: ['max_position_embeddings'], message });
    }
  });

/** A checked configuration, keys as in the file. */
export type RobertaConfig = z.infer<typeof robertaConfigSchema>;
