import { z } from 'zod';
import { albertConfigSchema } from './albert-config.js';
import { albertZhConfigSchema } from './albert-zh-config.js';
import { bertConfigSchema } from './bert-config.js';
import { distilbertConfigSchema } from './distilbert-config.js';
import { electraConfigSchema } from './electra-config.js';
import { robertaConfigSchema } from './roberta-config.js';

/** The families, by the `model_type` of their configuration. */
export const modelTypes = ['bert', 'albert', 'distilbert', 'roberta', 'electra', 'albert_zh'] as const;

const familySchema = z.discriminatedUnion(
  'model_type',
  [
    bertConfigSchema,
    albertConfigSchema,
    distilbertConfigSchema,
    robertaConfigSchema,
    electraConfigSchema,
    albertZhConfigSchema,
  ],
  { error: `expected one of ${modelTypes.join(', ')}` },
);

/** The checked configuration of any family; `model_type` tells them apart. */
export type ModelConfig = z.infer<typeof familySchema>;
export type ModelType = ModelConfig['model_type'];

/** A `config.json` of any family. A file of the time before `model_type` is BERT's. */
export const modelConfigSchema = z.preprocess(
  (json) =>
    typeof json === 'object' && json !== null && !('model_type' in json) ? { model_type: 'bert', ...json } : json,
  familySchema,
);

/** The configuration with every dropout rate replaced. */
export function withDropout(config: ModelConfig, dropout: number): ModelConfig {
  const both = { hidden_dropout_prob: dropout, attention_probs_dropout_prob: dropout };
  switch (config.model_type) {
    case 'albert':
    case 'albert_zh':
      return { ...config, ...both, classifier_dropout_prob: dropout };
    case 'distilbert':
      return { ...config, dropout, attention_dropout: dropout, seq_classif_dropout: dropout };
    case 'bert':
    case 'roberta':
    case 'electra':
      return { ...config, ...both, classifier_dropout: dropout };
  }
}

/** The longest sequence of tokens that has positions. */
export function maxTokens(config: ModelConfig): number {
  const rows = config.max_position_embeddings;
  return config.model_type === 'roberta' ? rows - config.pad_token_id - 1 : rows;
}

/** How many values the token types have; 0: the model has no segments. */
export function tokenTypes(config: ModelConfig): number {
  return config.model_type === 'distilbert' ? 0 : config.type_vocab_size;
}
