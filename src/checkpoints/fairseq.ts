import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.js';
import type { Checkpoint } from './checkpoint.js';
import { parseConfig } from './config-file.js';
import { fairseqNames, normaliseFairseqNames } from './fairseq-names.js';
import { describeValue, field, type PickleValue } from './pickle-values.js';
import { openPyTorch } from './pytorch.js';
import type { StoredTensor } from './stored-tensor.js';

/** The file of a fairseq model in a folder: `model.pt`, or the only `*.pt`. */
export function findFairseqModel(folder: string): string | undefined {
  if (existsSync(join(folder, 'model.pt'))) return join(folder, 'model.pt');
  const names = readdirSync(folder).filter((name) => name.endsWith('.pt'));
  return names.length === 1 ? join(folder, names[0]!) : undefined;
}

/** Opens a folder with fairseq's `model.pt` of a RoBERTa, of 2019 or newer. Throws UserError 'files'. */
export function openFairseq(folder: string): Checkpoint {
  const path = findFairseqModel(folder);
  if (path === undefined) throw new UserError('files', `${folder} has no model.pt`);
  const file = openPyTorch(path);
  try {
    const tensors = normaliseFairseqNames(path, file.stateDict(field(file.value, 'model')));
    const { config, labels } = parseConfig(path, configOf(path, file.value, tensors));
    const storedAs = fairseqNames(config, tensors);
    return {
      format: 'fairseq',
      folder,
      configPath: path,
      config,
      labels,
      tensors,
      storedAs,
      close: () => {
        file.close();
      },
    };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** fairseq's names of activations (`fairseq/utils.py`, `get_activation_fn`) in Transformers' words. */
const activationsByName: Readonly<Record<string, string>> = {
  gelu: 'gelu',
  gelu_fast: 'gelu_new',
  gelu_accurate: 'gelu_new',
  relu: 'relu',
  swish: 'silu',
  tanh: 'tanh',
};

/** The configuration in Transformers' keys, from `args` (or, newer, `cfg.model`) and the shapes of the tensors. */
function configOf(path: string, file: PickleValue, tensors: ReadonlyMap<string, StoredTensor>): unknown {
  const settings = settingsOf(path, file);
  const number = (name: string, otherwise?: number): number => {
    const value = field(settings, name) ?? otherwise;
    if (typeof value === 'number') return value;
    throw new UserError('files', `${path}: ${name}: got ${describeValue(value)}, expected a number`);
  };
  const rows = (name: string): number | undefined => tensors.get(name)?.shape[0];
  refuseOthers(path, settings, tensors);
  const activation = field(settings, 'activation_fn') ?? 'gelu';
  return {
    model_type: 'roberta',
    vocab_size: rows('encoder.sentence_encoder.embed_tokens.weight'),
    hidden_size: number('encoder_embed_dim'),
    num_hidden_layers: number('encoder_layers'),
    num_attention_heads: number('encoder_attention_heads'),
    intermediate_size: number('encoder_ffn_embed_dim'),
    hidden_act: typeof activation === 'string' ? (activationsByName[activation] ?? activation) : activation,
    hidden_dropout_prob: number('dropout', 0.1),
    attention_probs_dropout_prob: number('attention_dropout', 0.1),
    classifier_dropout: number('pooler_dropout', 0),
    max_position_embeddings: rows('encoder.sentence_encoder.embed_positions.weight'),
    type_vocab_size: 1,
    initializer_range: 0.02,
    layer_norm_eps: 1e-5, // PyTorch's default, which fairseq leaves as it is
    pad_token_id: 1,
    bos_token_id: 0,
    eos_token_id: 2,
    tie_word_embeddings: field(settings, 'untie_weights_roberta') !== true,
  };
}

function settingsOf(path: string, file: PickleValue): PickleValue {
  const settings = field(file, 'args') ?? field(field(file, 'cfg'), 'model');
  if (settings !== undefined && settings !== null) return settings;
  throw new UserError(
    'files',
    `${path}: neither args nor cfg.model, which say how many layers and heads the model has`,
    'Expected a checkpoint that fairseq itself wrote.',
  );
}

/** Variants of fairseq's encoder that compute something else than RoBERTa. */
function refuseOthers(path: string, settings: PickleValue, tensors: ReadonlyMap<string, StoredTensor>): void {
  const refuse = (what: string): never => {
    throw new UserError('files', `${path}: ${what}`, 'RoBERTa as it was released in 2019 is supported.');
  };
  if (!tensors.has('encoder.sentence_encoder.embed_tokens.weight')) {
    refuse('encoder.sentence_encoder.embed_tokens.weight is missing: not a RoBERTa');
  }
  if (!tensors.has('encoder.sentence_encoder.embed_positions.weight')) refuse('no learned positions');
  if (field(settings, 'encoder_normalize_before') === true) refuse('encoder_normalize_before: layers normalise first');
  if (field(settings, 'layernorm_embedding') === false) refuse('layernorm_embedding: the embeddings have no LayerNorm');
  const pooler = field(settings, 'pooler_activation_fn') ?? 'tanh';
  if (pooler !== 'tanh') refuse(`pooler_activation_fn: got ${describeValue(pooler)}, only tanh is supported`);
}
