import { z } from 'zod';
import { activation, checkHeads, encoderFields, layerCount, rate, size, tokenId } from './config-fields.js';

/** Hugging Face's `config.json` of an ALBERT (transformers `AlbertConfig`). */
export const albertConfigSchema = z
  .object({
    model_type: z.literal('albert'),
    ...encoderFields,
    embedding_size: size.default(128).describe('width of the embeddings'),
    num_hidden_groups: layerCount
      .default(1)
      .describe('sets of weights that the layers share; of more sets than layers some are not used'),
    inner_group_num: layerCount.default(1).describe('blocks in a group'),
    hidden_act: activation.default('gelu_new'),
    hidden_dropout_prob: rate.default(0),
    attention_probs_dropout_prob: rate.default(0),
    classifier_dropout_prob: rate.nullish().transform((value) => value ?? 0.1),
    pad_token_id: tokenId.nullish(),
  })
  .superRefine((config, context) => {
    checkHeads(config, context);
    const { num_hidden_layers: layers, num_hidden_groups: groups, inner_group_num: inner } = config;
    const blocks = layerCount.safeParse(Math.max(layers, groups) * inner);
    for (const { message } of blocks.error?.issues ?? []) {
      context.addIssue({ code: 'custom', path: ['inner_group_num'], message });
    }
  });

/** A checked configuration, keys as in the file. */
export type AlbertConfig = z.infer<typeof albertConfigSchema>;
