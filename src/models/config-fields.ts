import { z } from 'zod';
import { activationNames } from './activation-names.js';

/** What the configurations of the families have in common: kinds of values, and keys that every one has. */

const sizeForm = 'expected a whole number, at least 1';
export const size = z.int(sizeForm).positive(sizeForm);
/** Of layers; a file that says a thousand million must not be believed before its weights have been looked at. */
export const layerCount = size.max(1000, 'expected at most 1000 layers');
const rateForm = 'expected a number from 0 to below 1';
export const rate = z.number(rateForm).min(0, rateForm).lt(1, rateForm);
const positiveForm = 'expected a number above 0';
export const positive = z.number(positiveForm).positive(positiveForm);
export const activation = z.enum(activationNames, `expected one of ${activationNames.join(', ')}`);
const tokenForm = 'expected a token id';
export const tokenId = z.int(tokenForm).nonnegative(tokenForm);

/** A key whose only accepted value (besides being absent) is what the model computes anyway. */
export const only = <T extends string | number | boolean>(value: T) =>
  z.literal(value, `only ${String(value)} is supported`).nullish();

/** What a classifier's labels are, in Transformers' words. */
const problemTypes = ['single_label_classification', 'multi_label_classification'] as const;

/** Keys of every family; those that would change the arithmetic, and are not this model's, are refused. */
export const commonFields = {
  vocab_size: size.describe('rows of the word embedding'),
  max_position_embeddings: size.default(512),
  initializer_range: positive.default(0.02),
  tie_word_embeddings: z.boolean().nullish().describe('false: the language-model head has a matrix of its own'),
  is_decoder: only(false),
  add_cross_attention: only(false),
  pruned_heads: z.record(z.string(), z.never('pruned heads are not supported')).nullish(),
  problem_type: z
    .enum(problemTypes, `only ${problemTypes.join(' and ')} are supported`)
    .nullish()
    .describe('of a classifier: one label a text, or any number'),
  quantization_config: z.undefined('quantized checkpoints are not supported').optional(),
  id2label: z.record(z.string(), z.string('expected the name of a label')).nullish(),
};

/** Keys of the families whose configurations follow BERT's. */
export const encoderFields = {
  ...commonFields,
  hidden_size: size.describe('width of the hidden states'),
  num_hidden_layers: layerCount,
  num_attention_heads: size,
  intermediate_size: size.describe('width of the feed-forward layer'),
  // A RoBERTa's table may be absent, and is then made of zeros: a file must not ask for any number of them.
  type_vocab_size: size.max(1000, 'expected at most 1000 token types').default(2),
  layer_norm_eps: positive.default(1e-12),
  position_embedding_type: only('absolute'),
};

interface Sizes {
  readonly hidden_size: number;
  readonly num_attention_heads: number;
}

/** Reports a hidden size that the heads cannot share evenly. */
export function checkHeads({ hidden_size: hidden, num_attention_heads: heads }: Sizes, context: z.RefinementCtx): void {
  if (heads < 1 || hidden % heads === 0) return;
  const message = `${hidden} is not a multiple of num_attention_heads (${heads})`;
  context.addIssue({ code: 'custom', path: ['hidden_size'], message });
}
