import { copyFileSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.js';
import type { ModelConfig } from '../models/model-config.js';
import { carriedNames } from './carried-names.js';
import type { Checkpoint, StoredAs } from './checkpoint.js';
import { elementCount } from './float-data.js';
import { huggingFaceNames } from './huggingface-names.js';
import { writeJson } from './json.js';
import { safetensorsSteps } from './safetensors.js';
import type { TensorToStore } from './stored-tensor.js';
import { tensorBundleSteps } from './tensor-bundle.js';
import { transpose } from './transpose.js';
import { variableShape } from './variable-shapes.js';
import {
  architectureOf,
  huggingFaceConfig,
  sourceConfig,
  tensorFlowConfig,
  type Architecture,
} from './write-config.js';
import type { KeptVariable, WritePlan } from './write-plan.js';
import { writeTokenizer, type WrittenTokenizer } from './write-tokenizer.js';

/** Writes a checkpoint in one of the formats that others read, tensor by tensor. */

export const writtenFormats = ['huggingface', 'tensorflow'] as const;
export type WrittenFormat = (typeof writtenFormats)[number];

/** The tensors of a model as a format has them. */
export interface TargetTensors {
  readonly tensors: readonly TensorToStore[];
  /** Names of those that the source does not have: zeros, which is what it means. */
  readonly added: readonly string[];
  /** The class that Transformers loads them with; undefined for TensorFlow. */
  readonly architecture: Architecture | undefined;
}

/** Throws UserError 'usage' where the format has no such model. */
export function targetTensors(checkpoint: Checkpoint, plan: WritePlan, format: WrittenFormat): TargetTensors {
  const { config, kept } = plan;
  if (format === 'huggingface' && config.model_type === 'albert_zh') {
    throw new UserError(
      'usage',
      "an ALBERT of albert_zh's first format (bert/encoder/layer_shared) has no class in Transformers",
      'Convert it --to tensorflow, train it with t4 as it is, or take the release of the same model with "google" in its name.',
    );
  }
  const architecture = format === 'huggingface' ? architectureOf(plan, sourceConfig(checkpoint)) : undefined;
  const spelt = namesIn(config, format);
  const names = architecture?.isEncoder === true ? withoutPrefix(config, spelt) : spelt;
  const tensors = kept.map((variable) => stored(variable, names.get(variable.name)!));
  if (format === 'tensorflow') return { tensors, added: [], architecture };
  const added = zeros(plan, names);
  return { tensors: [...tensors, ...added, ...untiedBias(plan)], added: added.map(({ name }) => name), architecture };
}

/** Transformers saves a bare encoder (`BertModel`) without the prefix that it has inside of a model with a head. */
function withoutPrefix(
  { model_type: family }: ModelConfig,
  names: ReadonlyMap<string, StoredAs>,
): Map<string, StoredAs> {
  const prefix = `${family}.`;
  const bare = (name: string): string => (name.startsWith(prefix) ? name.slice(prefix.length) : name);
  return new Map([...names].map(([name, stored]) => [name, { ...stored, names: stored.names.map(bare) }]));
}

function stored({ name, shape, tensor, transposed }: KeptVariable, target: StoredAs): TensorToStore {
  const [rows, columns] = tensor.shape;
  return {
    name: target.names[0] ?? name,
    shape: target.transposed ? [...shape].reverse() : shape,
    values: () => {
      const values = tensor.read();
      const turned = transposed !== target.transposed && tensor.shape.length === 2;
      return turned ? transpose(values, rows!, columns!) : values;
    },
  };
}

/** What Transformers' classes always have and the source does not. */
const zeros = ({ config, absent }: WritePlan, names: ReadonlyMap<string, StoredAs>): TensorToStore[] =>
  absent.map((variable) => {
    const { names: spellings, transposed } = names.get(variable)!;
    const shape = variableShape(config, variable).filter((size) => size !== 'labels');
    return {
      name: spellings[0] ?? variable,
      shape: transposed ? shape.reverse() : shape,
      values: () => new Float32Array(elementCount(shape)!),
    };
  });

/** A decoder that is not tied has a bias of its own, and Transformers keeps the head's beside it without a use for it. */
function* untiedBias({ config, kept }: WritePlan): Generator<TensorToStore> {
  const bias = kept.find(({ name }) => name === 'cls/predictions/output_bias');
  if (config.tie_word_embeddings !== false || bias === undefined) return;
  const second = huggingFaceNames(config).get(bias.name)!.names[1];
  if (second !== undefined) yield { name: second, shape: bias.shape, values: () => bias.tensor.read() };
}

/** How a format spells every variable; the first spelling counts. */
function namesIn(config: ModelConfig, format: WrittenFormat): Map<string, StoredAs> {
  if (format === 'huggingface') return new Map([...huggingFaceNames(config), ...carriedNames(config, format)]);
  const ours = [...huggingFaceNames(config).keys(), ...carriedNames(config, format).keys()];
  const names = new Map<string, StoredAs>(ours.map((name) => [name, { names: [name], transposed: false }]));
  if (config.model_type === 'bert' || config.model_type === 'albert' || config.model_type === 'albert_zh') {
    // As google-research/bert `run_classifier.py` has them: [labels, hidden].
    names.set('classifier/kernel', { names: ['output_weights'], transposed: true });
    names.set('classifier/bias', { names: ['output_bias'], transposed: false });
  }
  return names;
}

/** Where TensorFlow checkpoints begin, as Google names them. */
export const bundleName = 'bert_model.ckpt';

/** Everything of the model but the weights: configuration, tokenizer, and what t4 finetune left beside them. */
export function writeModelFiles(
  checkpoint: Checkpoint,
  plan: WritePlan,
  format: WrittenFormat,
  folder: string,
): WrittenTokenizer {
  const { folder: sourceFolder, config } = checkpoint;
  const source = sourceConfig(checkpoint);
  const tokenizer = writeTokenizer(sourceFolder, folder, config, format);
  if (format === 'huggingface') {
    writeJson(join(folder, 'config.json'), huggingFaceConfig(plan, source, tokenizer.padTokenId));
  } else {
    writeJson(join(folder, 'bert_config.json'), tensorFlowConfig(plan, source, folder));
    writeFileSync(
      join(folder, 'checkpoint'),
      `model_checkpoint_path: "${bundleName}"\nall_model_checkpoint_paths: "${bundleName}"\n`,
    );
  }
  const card = join(sourceFolder, 't4.json');
  if (existsSync(card)) copyFileSync(card, join(folder, 't4.json'));
  return tokenizer;
}

/** Writes the weights; each step is a tensor that has been written. */
export function writeWeights(
  folder: string,
  format: WrittenFormat,
  tensors: readonly TensorToStore[],
): Generator<TensorToStore, void> {
  return format === 'huggingface'
    ? safetensorsSteps(join(folder, 'model.safetensors'), tensors)
    : tensorBundleSteps(join(folder, bundleName), tensors);
}
