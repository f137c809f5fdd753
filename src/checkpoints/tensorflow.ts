import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../errors.js';
import type { ModelConfig, ModelType } from '../models/model-config.js';
import { readSmallFile } from '../small-file.js';
import type { Checkpoint, StoredAs } from './checkpoint.js';
import { parseConfig } from './config-file.js';
import { huggingFaceNames } from './huggingface-names.js';
import { readJson } from './json.js';
import type { StoredTensor } from './stored-tensor.js';
import { findBundles, openTensorBundle } from './tensor-bundle.js';

/**
 * Opens a folder as Google publishes its models: a TensorFlow checkpoint (`bert_model.ckpt.index`, `.data-...`) and
 * `bert_config.json` or the like. Variables have our own names there.
 *
 * @param prefix which checkpoint of several
 */
export function openTensorFlow(folder: string, prefix = chooseBundle(folder)): Checkpoint {
  const bundle = openTensorBundle(prefix);
  const tensors = new Map([...bundle.tensors].filter(([name]) => !isTrainingState(name)));
  const configPath = findConfig(folder);
  const { config, labels } = parseConfig(configPath, adaptConfig(configPath, tensors, folder));
  return {
    format: 'tensorflow',
    folder,
    configPath,
    config,
    labels,
    tensors,
    storedAs: tensorFlowNames(config, tensors),
    close: () => {
      bundle.close();
    },
  };
}

/** What an optimizer keeps beside each variable, and the count of its steps. */
export const isTrainingState = (name: string): boolean =>
  /(\/|^)(adam_[mv]|global_step|Adam(WeightDecay\w*|W|_1)?)$/.test(name);

/** The prefix of a folder's checkpoint, of several the newest. Throws UserError 'files'. */
export function chooseBundle(folder: string): string {
  const prefixes = findBundles(folder);
  if (prefixes.length === 1) return prefixes[0]!;
  if (prefixes.length === 0) throw new UserError('files', `${folder} has no TensorFlow checkpoint (*.index)`);
  const newest = latestIn(folder);
  const named = prefixes.find((prefix) => basename(prefix) === newest);
  if (named !== undefined) return named;
  throw new UserError(
    'files',
    `${folder} holds ${prefixes.length} checkpoints: ${prefixes.map((prefix) => basename(prefix)).join(', ')}`,
    'Put the one that is meant, with its configuration and vocabulary, into a folder of its own.',
  );
}

/** The checkpoint that TensorFlow's own `checkpoint` file says is the newest, without its folders. */
function latestIn(folder: string): string | undefined {
  const path = join(folder, 'checkpoint');
  if (!existsSync(path)) return undefined;
  const found = /^model_checkpoint_path: "(.*)"$/m.exec(readSmallFile(path).toString('utf8'))?.[1];
  return found === undefined ? undefined : basename(found);
}

/** The configuration beside a checkpoint. Throws UserError 'files'. */
export function findConfig(folder: string): string {
  const names = readdirSync(folder).filter((name) => /config.*\.json$/.test(name) && !name.startsWith('tokenizer'));
  const chosen = ['bert_config.json', 'config.json'].find((name) => names.includes(name)) ?? names.sort()[0];
  if (chosen !== undefined) return join(folder, chosen);
  throw new UserError(
    'files',
    `${folder} has no configuration: looked for bert_config.json and *config*.json`,
    'How many heads share the hidden size cannot be told from the weights: add the bert_config.json of the model.',
  );
}

/** Keys of Google's configurations that are read here; the others go on as they are. */
const googleSchema = z.looseObject({
  model_type: z.string().optional(),
  hidden_act: z.string().optional(),
  vocab_size: z.number().optional(),
  type_vocab_size: z.number().optional(),
  embedding_size: z.number().optional(),
});

/**
 * The configuration with Hugging Face's keys and words. A file without `model_type` is in Google's: the family follows
 * from the names of the variables, and "gelu" means the tanh form (google-research/bert `modeling.py`).
 */
function adaptConfig(path: string, tensors: ReadonlyMap<string, StoredTensor>, folder: string): unknown {
  const json = readJson(path, `${path} does not exist`);
  const parsed = googleSchema.safeParse(json);
  if (!parsed.success || parsed.data.model_type !== undefined) return json;
  const google = parsed.data;
  const family = familyOf(path, tensors, folder);
  const scope = family === 'electra' || family === 'distilbert' ? family : 'bert';
  const [words, types] = ['word', 'token_type'].map((table) => tensors.get(`${scope}/embeddings/${table}_embeddings`));
  const config = {
    ...google,
    model_type: family,
    vocab_size: google.vocab_size ?? words?.shape[0],
    type_vocab_size: google.type_vocab_size ?? types?.shape[0] ?? 1,
    hidden_act: google.hidden_act === 'gelu' && family !== 'roberta' ? 'gelu_new' : google.hidden_act,
  };
  switch (family) {
    case 'electra':
    case 'albert':
    case 'albert_zh':
      return { ...config, embedding_size: google.embedding_size ?? words?.shape[1] };
    case 'distilbert':
      return distilbertKeys(config);
    case 'bert':
    case 'roberta':
      return config;
  }
}

function familyOf(path: string, tensors: ReadonlyMap<string, StoredTensor>, folder: string): ModelType {
  const has = (start: string): boolean => [...tensors.keys()].some((name) => name.startsWith(start));
  if (has('electra/')) return 'electra';
  if (has('distilbert/')) return 'distilbert';
  if (has('bert/encoder/transformer/group_0/')) return 'albert';
  if (has('bert/encoder/layer_shared/')) return 'albert_zh';
  // RoBERTa4Keras writes BERT's names; only its vocabulary of byte pairs tells.
  if (['vocab.json', 'dict.txt'].some((name) => existsSync(join(folder, name)))) return 'roberta';
  if (has('bert/')) return 'bert';
  const some = [...tensors.keys()].slice(0, 3).join(', ');
  throw new UserError('files', `${folder}: not a model of a family that t4 knows: ${path} beside ${some} ...`);
}

/** finetune_bert gives a DistilBERT BERT's keys. */
function distilbertKeys(google: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return {
    ...google,
    dim: google.dim ?? google.hidden_size,
    n_layers: google.n_layers ?? google.num_hidden_layers,
    n_heads: google.n_heads ?? google.num_attention_heads,
    hidden_dim: google.hidden_dim ?? google.intermediate_size,
    activation: google.activation ?? google.hidden_act,
    dropout: google.dropout ?? google.hidden_dropout_prob,
    attention_dropout: google.attention_dropout ?? google.attention_probs_dropout_prob,
    seq_classif_dropout: google.seq_classif_dropout ?? google.sequence_classif_dropout_prob,
  };
}

/** Every variable of a family and its heads under its own name, but for what other programs call otherwise. */
function tensorFlowNames(config: ModelConfig, tensors: ReadonlyMap<string, StoredTensor>): Map<string, StoredAs> {
  const names = new Map<string, StoredAs>();
  for (const name of huggingFaceNames(config).keys()) names.set(name, { names: [name], transposed: false });
  if (config.model_type === 'roberta') {
    // RoBERTa4Keras does not know the newer fairseq's name of this norm and passes it on.
    const stray = 'sentence_encoder/layernorm_embedding';
    const norm = 'bert/embeddings/LayerNorm';
    names.set(`${norm}/gamma`, { names: [`${norm}/gamma`, `${stray}/weight`], transposed: false });
    names.set(`${norm}/beta`, { names: [`${norm}/beta`, `${stray}/bias`], transposed: false });
  }
  if (config.model_type === 'electra' && [...tensors.keys()].some((name) => name.startsWith('generator/'))) {
    // Both networks of a pretraining: this head stands on the generator, and its width is another one's.
    for (const name of names.keys()) if (name.startsWith('generator_predictions/')) names.delete(name);
  }
  if (tensors.has('output_weights') && !tensors.has('classifier/kernel')) {
    // google-research/bert `run_classifier.py`: [labels, hidden].
    names.set('classifier/kernel', { names: ['output_weights'], transposed: true });
    names.set('classifier/bias', { names: ['output_bias'], transposed: false });
  }
  return names;
}
