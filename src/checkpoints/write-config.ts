import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { ActivationName } from '../models/activation-names.js';
import type { ModelConfig, ModelType } from '../models/model-config.js';
import type { Checkpoint } from './checkpoint.js';
import { readJson } from './json.js';
import type { Part, WritePlan } from './write-plan.js';

/** The configuration of a model that is written: Transformers' `config.json`, and Google's `bert_config.json`. */

/** What Transformers' classes of a family begin with; for albert_zh it has none, and this one is named alike. */
export const classPrefixes: Readonly<Record<ModelType, string>> = {
  bert: 'Bert',
  albert: 'Albert',
  albert_zh: 'AlbertZh',
  distilbert: 'DistilBert',
  roberta: 'Roberta',
  electra: 'Electra',
};

interface ModelClass {
  /** Of the name, behind the family's prefix. */
  readonly suffix: string;
  /** What the class has beside the encoder. */
  readonly parts: readonly Part[];
}

const hasPooler: readonly ModelType[] = ['bert', 'albert', 'roberta'];

/** Transformers' classes of a family, those with more parts before those with fewer. */
function modelClasses(family: ModelType): ModelClass[] {
  const pooledClassifier = family === 'bert' || family === 'albert';
  const classifier: Part[] = pooledClassifier ? ['token', 'pooler'] : ['sequence'];
  return [
    { suffix: 'ForSequenceClassification', parts: classifier },
    { suffix: 'ForTokenClassification', parts: ['token'] },
    { suffix: 'ForQuestionAnswering', parts: ['answers'] },
    ...(family === 'electra' ? [{ suffix: 'ForPreTraining', parts: ['replaced'] } as const] : []),
    ...(pooledClassifier ? [{ suffix: 'ForPreTraining', parts: ['words', 'pairs', 'pooler'] } as const] : []),
    { suffix: 'ForMaskedLM', parts: ['words'] },
    ...(family === 'bert' ? [{ suffix: 'ForNextSentencePrediction', parts: ['pairs', 'pooler'] } as const] : []),
    ...(hasPooler.includes(family) ? [{ suffix: 'Model', parts: ['pooler'] } as const] : []),
    { suffix: 'Model', parts: [] },
  ];
}

export interface Architecture {
  readonly name: string;
  /** The encoder, with its pooler or without, and nothing else. */
  readonly isEncoder: boolean;
  /** Parts that are in the file and that the class has no place for: Transformers lists them when it loads it. */
  readonly beside: readonly Part[];
}

const hintSchema = z.looseObject({ architectures: z.array(z.string()).nullish() });

/** The class of Transformers that has a place for most of what is written; of several, the one that the source names. */
export function architectureOf({ config, parts }: WritePlan, source: unknown): Architecture {
  const family = config.model_type;
  const named = hintSchema.safeParse(source).data?.architectures?.[0];
  const possible = modelClasses(family).filter((each) => each.parts.every((part) => parts.has(part)));
  const hinted = possible.find(({ suffix }) => named === classPrefixes[family] + suffix);
  const chosen = hinted ?? possible[0]!;
  const beside = [...parts].filter((part) => !chosen.parts.includes(part));
  return {
    name: classPrefixes[family] + chosen.suffix,
    isEncoder: chosen.suffix === 'Model' && beside.length === 0,
    beside,
  };
}

const looseSchema = z.looseObject({});

/** The source's configuration as it stands in its file; nothing where the weights' file itself has it (fairseq). */
export function sourceConfig({ configPath }: Checkpoint): Record<string, unknown> {
  if (!configPath.endsWith('.json')) return {};
  return looseSchema.parse(readJson(configPath, `${configPath} does not exist`));
}

/** Keys that say how the source was stored or by what it was made, and that are said anew or no more. */
const replacedKeys = [
  'architectures',
  'auto_map',
  'dtype',
  'torch_dtype',
  'transformers_version',
  '_name_or_path',
  '_attn_implementation_autoset',
  'id2label',
  'label2id',
  'num_labels',
];

/** BERT's words for what DistilBERT has its own for: Transformers takes either. */
const foreignToDistilbert = [
  'hidden_size',
  'num_hidden_layers',
  'num_attention_heads',
  'intermediate_size',
  'hidden_act',
  'hidden_dropout_prob',
  'attention_probs_dropout_prob',
  'sequence_classif_dropout_prob',
  'type_vocab_size',
];

/** What both formats' files have: the source's other keys, which no arithmetic depends on, and the checked ones. */
function commonKeys(plan: WritePlan, source: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { config } = plan;
  const dropped = config.model_type === 'distilbert' ? [...replacedKeys, ...foreignToDistilbert] : replacedKeys;
  const kept = Object.entries(source).filter(([key]) => !dropped.includes(key));
  return { ...Object.fromEntries(kept), ...config, id2label: undefined, ...labelKeys(plan) };
}

/** `id2label` and `label2id`, of a classifier or as the source has them. */
function labelKeys({ config, kept }: WritePlan): Record<string, unknown> {
  const bias = kept.find(({ name }) => name === 'classifier/bias' || name === 'classifier/out_proj/bias');
  const names = config.id2label ?? {};
  const count = bias?.shape[0] ?? Object.keys(names).length;
  if (count === 0) return {};
  const labels = Array.from({ length: count }, (_, id) => names[String(id)] ?? `LABEL_${id}`);
  return {
    id2label: Object.fromEntries(labels.map((label, id) => [String(id), label])),
    label2id: Object.fromEntries(labels.map((label, id) => [label, id])),
  };
}

/**
 * Transformers' `config.json`.
 *
 * @param source the configuration that the source has
 * @param padTokenId the tokenizer's, for a source that does not say
 */
export function huggingFaceConfig(
  plan: WritePlan,
  source: Readonly<Record<string, unknown>>,
  padTokenId: number | undefined,
): Record<string, unknown> {
  const { config } = plan;
  const ends = config.model_type === 'roberta' ? { bos_token_id: 0, eos_token_id: 2 } : {};
  return {
    ...ends,
    ...commonKeys(plan, source),
    architectures: [architectureOf(plan, source).name],
    pad_token_id: config.pad_token_id ?? padTokenId ?? 0,
    tie_word_embeddings: config.tie_word_embeddings !== false,
    dtype: 'float32',
  };
}

/** The activations that Google's code calls by other names; those that are not here it does not have. */
const googleActivations: Readonly<Partial<Record<ActivationName, string>>> = {
  gelu_new: 'gelu',
  gelu_pytorch_tanh: 'gelu',
  gelu_fast: 'gelu',
  relu: 'relu',
  tanh: 'tanh',
};

/**
 * `bert_config.json` in Google's words, where Google's code computes this model: it has one gelu, of the tanh form, one
 * epsilon, and no RoBERTa. For all others, Transformers' words with `model_type`, by which `tensorflow.ts` tells the two.
 *
 * @param folder where the tokenizer's files are, by which a file without `model_type` would be taken for a RoBERTa
 */
export function tensorFlowConfig(
  plan: WritePlan,
  source: Readonly<Record<string, unknown>>,
  folder: string,
): Record<string, unknown> {
  const { config } = plan;
  const common = commonKeys(plan, source);
  const activation = googleActivation(config);
  if (activation === undefined || ['vocab.json', 'dict.txt'].some((name) => existsSync(join(folder, name)))) {
    return { model_type: config.model_type, ...common, tie_word_embeddings: config.tie_word_embeddings !== false };
  }
  return { ...common, model_type: undefined, hidden_act: activation };
}

function googleActivation(config: ModelConfig): string | undefined {
  if (config.model_type === 'distilbert' || config.model_type === 'roberta') return undefined;
  if (config.layer_norm_eps !== 1e-12 || config.tie_word_embeddings === false) return undefined;
  return googleActivations[config.hidden_act];
}
