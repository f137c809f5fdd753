import { z } from 'zod';
import { activationNames } from './activation-names.js';

const sizeForm = 'expected a whole number, at least 1';
const size = z.int(sizeForm).positive(sizeForm);
const rateForm = 'expected a number from 0 to below 1';
const rate = z.number(rateForm).min(0, rateForm).lt(1, rateForm);
const positiveForm = 'expected a number above 0';
const positive = z.number(positiveForm).positive(positiveForm);

/** A key whose only accepted value (besides being absent) is what the model computes anyway. */
const only = <T extends string | number | boolean>(value: T) =>
  z.literal(value, `only ${String(value)} is supported`).nullish();

/**
 * Hugging Face's `config.json` of a BERT (transformers `BertConfig`). Extra keys are allowed where they do not
 * change the arithmetic; each that does is obeyed or refused here.
 */
export const bertConfigSchema = z
  .object({
    model_type: z.literal('bert', 'only "bert" is supported').default('bert'),
    vocab_size: size.describe('rows of the word embedding'),
    hidden_size: size.describe('width of the hidden states'),
    num_hidden_layers: size,
    num_attention_heads: size,
    intermediate_size: size.describe('width of the feed-forward layer'),
    hidden_act: z.enum(activationNames, `expected one of ${activationNames.join(', ')}`).default('gelu'),
    hidden_dropout_prob: rate.default(0.1),
    attention_probs_dropout_prob: rate.default(0.1),
    classifier_dropout: rate.nullish().describe('null: as hidden_dropout_prob'),
    max_position_embeddings: size.default(512),
    type_vocab_size: size.default(2),
    initializer_range: positive.default(0.02),
    layer_norm_eps: positive.default(1e-12),
    pad_token_id: z.int('expected a token id').nonnegative('expected a token id').nullish(),
    // What would change the arithmetic, and is not this model:
    position_embedding_type: only('absolute'),
    is_decoder: only(false),
    add_cross_attention: only(false),
    embedding_size: size.optional(),
    pruned_heads: z.record(z.string(), z.never('pruned heads are not supported')).nullish(),
    problem_type: only('single_label_classification'),
    quantization_config: z.undefined('quantized checkpoints are not supported').optional(),
    id2label: z.record(z.string(), z.string('expected the name of a label')).nullish(),
  })
  .superRefine((config, context) => {
    if (config.hidden_size % config.num_attention_heads !== 0) {
      const message = `${config.hidden_size} is not a multiple of num_attention_heads (${config.num_attention_heads})`;
      context.addIssue({ code: 'custom', path: ['hidden_size'], message });
    }
    if (config.embedding_size !== undefined && config.embedding_size !== config.hidden_size) {
      const message = `BERT's embedding is as wide as its hidden states (${config.hidden_size})`;
      context.addIssue({ code: 'custom', path: ['embedding_size'], message });
    }
  });

/** A checked configuration, keys as in the file. */
export type BertConfig = z.infer<typeof bertConfigSchema>;

/** The configuration with every dropout rate replaced. */
export function withDropout(config: BertConfig, dropout: number): BertConfig {
  return {
    ...config,
    hidden_dropout_prob: dropout,
    attention_probs_dropout_prob: dropout,
    classifier_dropout: dropout,
  };
}
