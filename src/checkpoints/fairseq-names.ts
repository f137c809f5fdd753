import type { ModelConfig } from '../models/model-config.js';
import { UserError } from '../errors.js';
import type { StoredAs } from './checkpoint.js';
import type { StoredTensor } from './stored-tensor.js';

const encoder = 'encoder.sentence_encoder';

/**
 * The tensors under the names of the newest fairseq, as its `upgrade_state_dict_named` makes them: the releases of 2019
 * say `decoder` for `encoder`, `emb_layer_norm` for `layernorm_embedding`, and keep query, key and value in one matrix.
 */
export function normaliseFairseqNames(
  path: string,
  tensors: ReadonlyMap<string, StoredTensor>,
): Map<string, StoredTensor> {
  const result = new Map<string, StoredTensor>();
  for (const tensor of tensors.values()) {
    const name = tensor.name.replace(/^decoder\./, 'encoder.').replace('.emb_layer_norm.', '.layernorm_embedding.');
    const joint = /^(.*\.self_attn\.)in_proj_(weight|bias)$/.exec(name);
    if (joint === null) result.set(name, { ...tensor, name, read: () => tensor.read() });
    else for (const part of split(path, tensor, joint[1]!, joint[2]!)) result.set(part.name, part);
  }
  return result;
}

/** Query, key and value, a third of the rows each: [3 H, H] or [3 H]. */
function split(path: string, tensor: StoredTensor, prefix: string, kind: string): StoredTensor[] {
  const [rows, ...rest] = tensor.shape;
  if (rows === undefined || rows % 3 !== 0) {
    throw new UserError('files', `${path}: ${tensor.name} has ${rows ?? 0} rows, expected three equal parts`);
  }
  const size = [rows / 3, ...rest].reduce((product, dim) => product * dim, 1);
  return ['q_proj', 'k_proj', 'v_proj'].map((part, index) => ({
    name: `${prefix}${part}.${kind}`,
    dtype: tensor.dtype,
    shape: [rows / 3, ...rest],
    read: () => tensor.read().slice(index * size, (index + 1) * size),
  }));
}

const plain = (name: string): StoredAs => ({ names: [name], transposed: false });

/** fairseq's name of every variable of RoBERTa and its heads, by our name. It has neither token types nor a pooler. */
export function fairseqNames(config: ModelConfig, tensors: ReadonlyMap<string, StoredTensor>): Map<string, StoredAs> {
  const layers = config.model_type === 'roberta' ? config.num_hidden_layers : 0;
  const names = new Map<string, StoredAs>();
  const dense = (ours: string, theirs: string): void => {
    names.set(`${ours}/kernel`, { names: [`${theirs}.weight`], transposed: true });
    names.set(`${ours}/bias`, plain(`${theirs}.bias`));
  };
  const norm = (ours: string, theirs: string): void => {
    names.set(`${ours}/gamma`, plain(`${theirs}.weight`));
    names.set(`${ours}/beta`, plain(`${theirs}.bias`));
  };
  names.set('bert/embeddings/word_embeddings', plain(`${encoder}.embed_tokens.weight`));
  names.set('bert/embeddings/position_embeddings', plain(`${encoder}.embed_positions.weight`));
  norm('bert/embeddings/LayerNorm', `${encoder}.layernorm_embedding`);
  for (let index = 0; index < layers; index++) {
    const [ours, theirs] = [`bert/encoder/layer_${index}`, `${encoder}.layers.${index}`];
    dense(`${ours}/attention/self/query`, `${theirs}.self_attn.q_proj`);
    dense(`${ours}/attention/self/key`, `${theirs}.self_attn.k_proj`);
    dense(`${ours}/attention/self/value`, `${theirs}.self_attn.v_proj`);
    dense(`${ours}/attention/output/dense`, `${theirs}.self_attn.out_proj`);
    norm(`${ours}/attention/output/LayerNorm`, `${theirs}.self_attn_layer_norm`);
    dense(`${ours}/intermediate/dense`, `${theirs}.fc1`);
    dense(`${ours}/output/dense`, `${theirs}.fc2`);
    norm(`${ours}/output/LayerNorm`, `${theirs}.final_layer_norm`);
  }
  dense('cls/predictions/transform/dense', 'encoder.lm_head.dense');
  norm('cls/predictions/transform/LayerNorm', 'encoder.lm_head.layer_norm');
  names.set('cls/predictions/output_bias', plain('encoder.lm_head.bias'));
  names.set('cls/predictions/decoder/output_weights', plain('encoder.lm_head.weight'));
  const head = onlyHead(tensors);
  if (head !== undefined) {
    dense('classifier/dense', `${head}.dense`);
    dense('classifier/out_proj', `${head}.out_proj`);
  }
  return names;
}

/** The classification head of a fine-tuned model; of several, none is meant. */
function onlyHead(tensors: ReadonlyMap<string, StoredTensor>): string | undefined {
  const heads = new Set<string>();
  for (const name of tensors.keys()) {
    const head = /^classification_heads\.[^.]+(?=\.)/.exec(name)?.[0];
    if (head !== undefined) heads.add(head);
  }
  return heads.size === 1 ? [...heads][0] : undefined;
}
