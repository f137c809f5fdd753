import { z } from 'zod';
import { activation, commonFields, layerCount, rate, size, tokenId } from './config-fields.js';

/** Hugging Face's `config.json` of a DistilBERT (transformers `DistilBertConfig`): the keys have names of their own. */
export const distilbertConfigSchema = z
  .object({
    model_type: z.literal('distilbert'),
    ...commonFields,
    dim: size.default(768).describe('width of the hidden states'),
    n_layers: layerCount.default(6),
    n_heads: size.default(12),
    hidden_dim: size.default(3072).describe('width of the feed-forward layer'),
    activation: activation.default('gelu'),
    dropout: rate.default(0.1),
    attention_dropout: rate.default(0.1),
    seq_classif_dropout: rate.default(0.2),
    // How the position table was first filled; it is stored with the other weights all the same.
    sinusoidal_pos_embds: z.boolean().default(false),
    pad_token_id: tokenId.nullish(),
  })
  .superRefine(({ dim, n_heads: heads }, context) => {
    if (heads < 1 || dim % heads === 0) return;
    context.addIssue({ code: 'custom', path: ['dim'], message: `${dim} is not a multiple of n_heads (${heads})` });
  });

/** A checked configuration, keys as in the file. */
export type DistilbertConfig = z.infer<typeof distilbertConfigSchema>;
