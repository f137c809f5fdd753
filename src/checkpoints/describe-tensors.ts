import type { Checkpoint } from './checkpoint.js';
import { elementCount } from './float-data.js';
import { isBuffer } from './model-buffers.js';
import type { StoredTensor } from './stored-tensor.js';
import { isTrainingState } from './tensorflow.js';
import { variableShape } from './variable-shapes.js';
import { fits, isWithoutUse, mayBeZero } from './write-plan.js';

/** What the names of tensors tell: which part of the model each belongs to, and which heads it has. In every format. */

export type HeadKind =
  | 'sequence-classification'
  | 'token-classification'
  | 'multiple-choice'
  | 'question-answering'
  | 'masked-language-model'
  | 'next-sentence'
  | 'sentence-order'
  | 'replaced-token-detection';

const headNames: readonly (readonly [HeadKind, RegExp])[] = [
  ['question-answering', /^(qa_outputs\.|cls\/squad\/)/],
  [
    'masked-language-model',
    /^(cls[./]predictions[./]|((en|de)coder\.)?lm_head\.|predictions\.|vocab_(transform|layer_norm|projector)\.|generator_)/,
  ],
  ['next-sentence', /^cls[./]seq_relationship[./]/],
  ['sentence-order', /^sop_classifier\./],
  ['replaced-token-detection', /^discriminator_predictions[./]/],
  ['sequence-classification', /^(classifier[./]|pre_classifier[./]|classification_heads\.|output_(weights|bias)$)/],
];

export const parts = ['embeddings', 'encoder', 'pooler', 'heads', 'generator', 'other'] as const;
export type ModelPart = (typeof parts)[number];

const partNames: readonly (readonly [ModelPart, RegExp])[] = [
  ['generator', /^generator\//],
  ['heads', new RegExp(headNames.map(([, pattern]) => pattern.source).join('|'))],
  ['pooler', /(^|[./])pooler[./]/],
  [
    'embeddings',
    /(^|[./])(embeddings|embed_tokens|embed_positions|embeddings_project|embedding_hidden_mapping_in)[./]/,
  ],
  ['embeddings', /(^|[./])(emb_layer_norm|layernorm_embedding)[./]/],
  ['encoder', /(^|[./])(encoder|decoder|layers?|transformer|block|h)[./]/],
];

/** The part of the model that a tensor belongs to, by its name in whichever format. */
export const partOf = (name: string): ModelPart => partNames.find(([, pattern]) => pattern.test(name))?.[0] ?? 'other';

/** The table of the words once more, in files that keep what is tied. */
const isTied = (name: string): boolean =>
  /(^|\.)(predictions\.decoder|lm_head(\.decoder)?|vocab_projector|generator_lm_head)\.weight$/.test(name) ||
  /(^|\.)(predictions|lm_head)\.decoder\.bias$/.test(name);

const isFloat = (dtype: string): boolean =>
  /^(B?F\d+(_E\w+)?|DT_(FLOAT|HALF|BFLOAT16|DOUBLE)|torch\.b?float\w*)$/.test(dtype);

export interface ParameterCounts {
  readonly total: number;
  readonly parts: Readonly<Partial<Record<ModelPart, number>>>;
}

/**
 * Counts the weights: not what an optimizer remembers of them, and tied weights once.
 *
 * @param tied whether the table of a language-model head is the one of the embeddings
 */
export function countParameters(tensors: Iterable<StoredTensor>, tied: boolean): ParameterCounts {
  const counts: Partial<Record<ModelPart, number>> = {};
  let total = 0;
  for (const { name, dtype, shape } of tensors) {
    if (!isFloat(dtype) || isTrainingState(name) || isBuffer(name) || (tied && isTied(name))) continue;
    const count = elementCount(shape) ?? Infinity;
    const part = partOf(name);
    counts[part] = (counts[part] ?? 0) + count;
    total += count;
  }
  return { total, parts: counts };
}

/**
 * The heads that there are weights of.
 *
 * @param architecture Transformers' class, where the configuration names one: tokens and texts are classified by weights
 *   of the same names
 */
export function headsOf(names: readonly string[], architecture: string | undefined): HeadKind[] {
  const found = headNames.filter(([, pattern]) => names.some((name) => pattern.test(name) && !isTrainingState(name)));
  return found.map(([kind]) => (kind === 'sequence-classification' ? classifierOf(names, architecture) : kind));
}

function classifierOf(names: readonly string[], architecture = ''): HeadKind {
  if (architecture.endsWith('ForTokenClassification')) return 'token-classification';
  if (architecture.endsWith('ForMultipleChoice')) return 'multiple-choice';
  if (architecture.endsWith('ForSequenceClassification')) return 'sequence-classification';
  const onSequences =
    /(^|[./])pooler[./]|^classifier[./](dense|out_proj)[./]|^pre_classifier|^classification_heads|^output_/;
  return names.some((name) => onSequences.test(name)) ? 'sequence-classification' : 'token-classification';
}

export interface TensorCheck {
  /** Encoder weights that a model of this configuration has and the file has not. */
  readonly missing: readonly string[];
  /** Weights of another shape than the configuration's, a sentence each. */
  readonly misfits: readonly string[];
  /** Tensors that t4 has no use for in any task. */
  readonly unused: readonly string[];
}

/** Compares the tensors with the names and shapes that the model of the configuration has in this format. */
export function checkTensors({ config, tensors, storedAs }: Checkpoint): TensorCheck {
  const missing: string[] = [];
  const misfits: string[] = [];
  const known = new Set<string>();
  for (const [variable, { names, transposed }] of storedAs) {
    for (const name of names) known.add(name);
    const part = partOf(variable);
    if (part !== 'embeddings' && part !== 'encoder') continue;
    const tensor = names.map((name) => tensors.get(name)).find((each) => each !== undefined);
    const shape = variableShape(config, variable);
    if (tensor === undefined) {
      if (!mayBeZero(config, variable) && !isWithoutUse(config, variable)) missing.push(names[0] ?? variable);
    } else if (!fits(transposed ? [...tensor.shape].reverse() : tensor.shape, shape)) {
      const expected = transposed ? [...shape].reverse() : shape;
      misfits.push(`${tensor.name} is [${tensor.shape.join(', ')}], expected [${expected.join(', ')}]`);
    }
  }
  return { missing, misfits, unused: [...tensors.keys()].filter((name) => !known.has(name) && !isBuffer(name)) };
}
