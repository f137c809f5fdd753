import type { HostTensor, Session } from '../../src/graph/index.js';
import { planLoad } from '../../src/checkpoints/checkpoint.js';
import { openHuggingFace } from '../../src/checkpoints/huggingface.js';
import type { ModelConfig } from '../../src/models/model-config.js';
import { sequenceClassifier } from '../../src/models/network.js';
import type { VariableSpec } from '../../src/models/variables.js';

/** All sizes differ, so that a swapped axis fails: batch 3, sequence 7, hidden 8, heads 2 of 4, 5 labels. */
export const tinyConfig = {
  model_type: 'bert',
  vocab_size: 31,
  hidden_size: 8,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 11,
  max_position_embeddings: 13,
  type_vocab_size: 3,
  layer_norm_eps: 1e-12,
  num_labels: 5,
  hidden_dropout_prob: 0,
  attention_probs_dropout_prob: 0,
};

export const tinyLabels = 5;

/** Three sequences of 7, 4 and 1 tokens. A key is both Transformers' name and that of the rows. */
export const tinyBatch = {
  input_ids: [
    [2, 30, 11, 7, 19, 7, 3],
    [2, 5, 29, 3, 0, 0, 0],
    [17, 0, 0, 0, 0, 0, 0],
  ],
  token_type_ids: [
    [0, 0, 1, 1, 2, 2, 1],
    [0, 2, 2, 1, 0, 0, 0],
    [1, 0, 0, 0, 0, 0, 0],
  ],
  attention_mask: [
    [1, 1, 1, 1, 1, 1, 1],
    [1, 1, 1, 1, 0, 0, 0],
    [1, 0, 0, 0, 0, 0, 0],
  ],
  labels: [4, 0, 3],
};

export interface TokenRows {
  readonly input_ids: readonly number[][];
  readonly token_type_ids: readonly number[][];
  readonly attention_mask: readonly number[][];
}

/** The program's inputs from rows under Transformers' names. */
export function tokenInputs(rows: TokenRows): Record<'inputIds' | 'tokenTypeIds' | 'attentionMask', HostTensor> {
  return {
    inputIds: int32Matrix(rows.input_ids),
    tokenTypeIds: int32Matrix(rows.token_type_ids),
    attentionMask: int32Matrix(rows.attention_mask),
  };
}

const int32Matrix = (rows: readonly number[][]): HostTensor => ({
  shape: [rows.length, rows[0]!.length],
  data: Int32Array.from(rows.flat()),
});

export const int32Vector = (values: readonly number[]): HostTensor => ({
  shape: [values.length],
  data: Int32Array.from(values),
});

/** Every weight of a Hugging Face folder, by the variable's name. */
export function readWeights(folder: string, numLabels: number): Record<string, HostTensor> {
  const checkpoint = openHuggingFace(folder);
  try {
    const plan = planLoad(checkpoint, sequenceClassifier(checkpoint.config, numLabels).variables, true);
    if (plan.fresh.length > 0) throw new Error(`${folder} lacks ${plan.fresh.join(', ')}`);
    return Object.fromEntries(plan.loaded.map(({ spec, read }) => [spec.name, { shape: spec.shape, data: read() }]));
  } finally {
    checkpoint.close();
  }
}

/** Fills the session's variables from a Hugging Face folder, every one of them. */
export function loadWeights(session: Session, folder: string, numLabels: number): void {
  for (const [name, value] of Object.entries(readWeights(folder, numLabels))) session.run(`assign/${name}`, { value });
}

export function readConfig(folder: string): ModelConfig {
  const checkpoint = openHuggingFace(folder);
  checkpoint.close();
  return checkpoint.config;
}

/**
 * Transformers' name of a variable, and whether it is stored transposed there. Written apart from the loader's table,
 * which is among what is tested.
 */
export function transformersName({ name, shape }: VariableSpec): { name: string; transposed: boolean } {
  const parts = name.replace(/layer_(\d+)/, 'layer/$1').split('/');
  const last = parts.pop()!;
  if (last.endsWith('_embeddings')) return { name: [...parts, last, 'weight'].join('.'), transposed: false };
  const suffix = last === 'bias' || last === 'beta' ? 'bias' : 'weight';
  return { name: [...parts, suffix].join('.'), transposed: shape.length === 2 };
}
