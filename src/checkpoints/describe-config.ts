import { z } from 'zod';
import { activationNames, type ActivationName } from '../models/activation-names.js';
import { maxTokens, type ModelConfig } from '../models/model-config.js';
import { printable } from './file-bytes.js';
import { field, type PickleValue } from './pickle-values.js';

/** A model's configuration in one set of words, whichever keys its file has. */

/** Keys as in a file. */
export type Settings = Readonly<Record<string, unknown>>;

export const settingsSchema = z.record(z.string(), z.unknown());

export interface ConfigDescription {
  readonly layers: number | undefined;
  /** Sets of weights that the layers share. */
  readonly layer_groups: number | undefined;
  readonly hidden_size: number | undefined;
  /** Where it differs from the hidden size. */
  readonly embedding_size: number | undefined;
  readonly heads: number | undefined;
  readonly intermediate_size: number | undefined;
  readonly vocabulary: number | undefined;
  /** The most tokens of a sequence. */
  readonly positions: number | undefined;
  readonly token_types: number | undefined;
  /** With the form of gelu, which one word means differently in different programs. */
  readonly activation: string | undefined;
  readonly layer_norm_epsilon: number | undefined;
  readonly dropout: {
    readonly hidden: number | undefined;
    readonly attention: number | undefined;
    readonly classifier: number | undefined;
  };
}

/** Of a configuration that t4 has checked. */
export function describeConfig(config: ModelConfig): ConfigDescription {
  const described = describeSettings(config, 'huggingface');
  const epsilon = config.model_type === 'distilbert' ? 1e-12 : config.layer_norm_eps;
  return { ...described, positions: maxTokens(config), layer_norm_epsilon: epsilon };
}

/**
 * Of one that t4 refuses, as far as its keys are known.
 *
 * @param words whose words it is in: "gelu" means the tanh form in Google's
 */
export function describeSettings(settings: Settings, words: 'google' | 'huggingface'): ConfigDescription {
  const number = (...keys: readonly string[]): number | undefined =>
    keys.map((key) => settings[key]).find((value) => typeof value === 'number');
  const hidden = number('hidden_size', 'dim', 'd_model', 'n_embd', 'encoder_embed_dim');
  const embedding = number('embedding_size');
  const dropout = number('hidden_dropout_prob', 'dropout', 'dropout_rate');
  return {
    layers: number('num_hidden_layers', 'n_layers', 'n_layer', 'num_layers', 'encoder_layers'),
    layer_groups: number('num_hidden_groups'),
    hidden_size: hidden,
    embedding_size: embedding === hidden ? undefined : embedding,
    heads: number('num_attention_heads', 'n_heads', 'n_head', 'num_heads', 'encoder_attention_heads'),
    intermediate_size: number('intermediate_size', 'hidden_dim', 'd_ff', 'n_inner', 'encoder_ffn_embed_dim'),
    vocabulary: number('vocab_size'),
    positions: number('max_position_embeddings', 'n_positions', 'max_positions'),
    token_types: number('type_vocab_size'),
    activation: activationOf(
      settings.hidden_act ?? settings.activation ?? settings.activation_function ?? settings.activation_fn,
      words,
    ),
    layer_norm_epsilon: number('layer_norm_eps', 'layer_norm_epsilon') ?? (words === 'google' ? 1e-12 : undefined),
    dropout: {
      hidden: dropout,
      attention: number('attention_probs_dropout_prob', 'attention_dropout'),
      classifier:
        number('classifier_dropout', 'classifier_dropout_prob', 'seq_classif_dropout', 'pooler_dropout') ?? dropout,
    },
  };
}

const geluForms: Readonly<Partial<Record<ActivationName, string>>> = {
  gelu: 'gelu (erf)',
  gelu_python: 'gelu (erf)',
  gelu_new: 'gelu (tanh)',
  gelu_pytorch_tanh: 'gelu (tanh)',
  gelu_fast: 'gelu (tanh)',
  swish: 'silu',
};

function activationOf(value: unknown, words: 'google' | 'huggingface'): string | undefined {
  if (typeof value !== 'string') return undefined;
  if (words === 'google' && value === 'gelu') return 'gelu (tanh)';
  const name = activationNames.find((known) => known === value);
  return name === undefined ? printable(value) : (geluForms[name] ?? name);
}

const mostFurtherKeys = 100;

/** Keys with a plain value, for a family that t4 does not know: its configuration as it is. */
export function plainSettings(settings: Settings): Record<string, string | number | boolean> {
  const plain: Record<string, string | number | boolean> = {};
  for (const [key, value] of Object.entries(settings).slice(0, mostFurtherKeys)) {
    if (typeof value === 'string') plain[printable(key)] = printable(value);
    else if (typeof value === 'number' || typeof value === 'boolean') plain[printable(key)] = value;
  }
  return plain;
}

const fairseqKeys = [
  'arch',
  'encoder_layers',
  'encoder_embed_dim',
  'encoder_attention_heads',
  'encoder_ffn_embed_dim',
  'max_positions',
  'activation_fn',
  'dropout',
  'attention_dropout',
  'pooler_dropout',
] as const;

/** What a fairseq file says of its model. */
export function fairseqSettings(value: PickleValue): Settings {
  return Object.fromEntries(fairseqKeys.map((key) => [key, field(value, key)]));
}
