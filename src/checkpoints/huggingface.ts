import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../errors.js';
import { bertConfigSchema, type BertConfig } from '../models/bert-config.js';
import type { VariableSpec } from '../models/variables.js';
import { huggingFaceNames, spellings, type StoredAs } from './huggingface-names.js';
import { openSafetensors } from './safetensors.js';
import type { StoredTensor, TensorFile } from './stored-tensor.js';
import { transpose } from './transpose.js';

/** A Hugging Face folder, opened: tensors are read one by one. */
export interface HuggingFaceCheckpoint {
  readonly folder: string;
  readonly config: BertConfig;
  /** Label names by id, from `id2label`; undefined where the file has none or Transformers' placeholders LABEL_0 ... */
  readonly labels: readonly string[] | undefined;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  close(): void;
}

/** How the variables of a model are found in a checkpoint. */
export interface LoadPlan {
  readonly loaded: readonly { readonly spec: VariableSpec; readonly read: () => Float32Array }[];
  /** Variables that the checkpoint lacks and may lack: pooler and head. */
  readonly fresh: readonly string[];
  /** Tensors of the checkpoint that the model does not use. */
  readonly unused: readonly string[];
}

/** Reads `config.json`. Throws UserError 'files' naming each key that is wrong or not supported. */
export function readHuggingFaceConfig(folder: string): { config: BertConfig; labels: readonly string[] | undefined } {
  const path = join(folder, 'config.json');
  return parseConfig(path, readJson(path, `${folder} has no config.json, so it is not a Hugging Face model folder`));
}

/** As readHuggingFaceConfig, of a single file. */
export function parseConfig(
  path: string,
  json: unknown,
): { config: BertConfig; labels: readonly string[] | undefined } {
  const parsed = bertConfigSchema.safeParse(json);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => {
      const value = issue.path.reduce<unknown>((parent, key) => property(parent, key), json);
      const got = value === undefined ? 'nothing' : JSON.stringify(value);
      return `${path}: ${issue.path.join('.')}: got ${got}, ${issue.message}`;
    });
    throw new UserError('files', problems.join('\n'), 'This version of t4 trains BERT (model_type "bert").');
  }
  return { config: parsed.data, labels: labelNames(parsed.data.id2label) };
}

const property = (value: unknown, key: PropertyKey): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined;

export function readJson(path: string, absent: string): unknown {
  if (!existsSync(path)) throw new UserError('files', absent);
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UserError('files', `${path}: ${error instanceof Error ? error.message : 'not JSON'}`);
  }
}

function labelNames(id2label: Readonly<Record<string, string>> | null | undefined): string[] | undefined {
  if (id2label === null || id2label === undefined) return undefined;
  const names = Object.keys(id2label).map((_, id) => id2label[String(id)]);
  if (!names.every((name) => name !== undefined) || names.length < 2) return undefined;
  return names.every((name, id) => name === `LABEL_${id}`) ? undefined : names;
}

/** Opens a folder with `config.json` and `model.safetensors`, single or sharded. */
export function openHuggingFace(folder: string): HuggingFaceCheckpoint {
  const { config, labels } = readHuggingFaceConfig(folder);
  const files: TensorFile[] = [];
  const close = (): void => {
    for (const file of files) file.close();
  };
  try {
    const tensors = new Map<string, StoredTensor>();
    for (const name of weightFiles(folder)) {
      const file = openSafetensors(join(folder, name));
      files.push(file);
      for (const tensor of file.tensors.values()) tensors.set(tensor.name, tensor);
    }
    return { folder, config, labels, tensors, close };
  } catch (error) {
    close();
    throw error;
  }
}

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

function weightFiles(folder: string): string[] {
  if (existsSync(join(folder, 'model.safetensors'))) return ['model.safetensors'];
  const index = join(folder, 'model.safetensors.index.json');
  if (!existsSync(index)) {
    const found = existsSync(folder) ? readdirSync(folder).filter((name) => /\.(bin|h5|pt|ckpt.*)$/.test(name)) : [];
    const got = found.length > 0 ? `, found ${found.join(', ')}` : '';
    throw new UserError(
      'files',
      `${folder} has no model.safetensors${got}`,
      'Weights are read from model.safetensors or from its shards with model.safetensors.index.json.',
    );
  }
  const parsed = indexSchema.safeParse(readJson(index, index));
  if (!parsed.success) throw new UserError('files', `${index}: ${z.prettifyError(parsed.error)}`);
  const names = [...new Set(Object.values(parsed.data.weight_map))].sort();
  for (const name of names) {
    // A shard's name comes from outside; it must not lead out of the folder.
    if (basename(name) !== name) throw new UserError('files', `${index}: shard ${name} is not a plain file name`);
    if (!existsSync(join(folder, name))) throw new UserError('files', `${folder} lacks the shard ${name}`);
  }
  return names;
}

/**
 * Finds every variable of a model in the checkpoint.
 *
 * @param headLabels number of labels the head must have to be taken; undefined: the head must not be taken
 * @throws UserError 'files' naming each missing encoder weight and each wrong shape
 */
export function planLoad(
  checkpoint: HuggingFaceCheckpoint,
  specs: readonly VariableSpec[],
  headLabels: number | undefined,
): LoadPlan {
  const names = huggingFaceNames(checkpoint.config);
  const loaded: { spec: VariableSpec; read: () => Float32Array }[] = [];
  const fresh: string[] = [];
  const used = new Set<string>();
  const problems: string[] = [];
  for (const spec of specs) {
    const stored = names.get(spec.name)!;
    const tensor = headLabels === undefined && isHead(spec.name) ? undefined : find(checkpoint.tensors, stored);
    if (tensor === undefined) {
      if (mayBeFresh(spec.name)) fresh.push(spec.name);
      else problems.push(`${spellings(stored)[0]!} is missing`);
      continue;
    }
    used.add(tensor.name);
    const expected = stored.transposed ? [...spec.shape].reverse() : spec.shape;
    if (tensor.shape.join() === expected.join()) {
      loaded.push({ spec, read: () => valuesOf(tensor, stored) });
    } else {
      problems.push(`${tensor.name} is [${tensor.shape.join(', ')}], expected [${expected.join(', ')}]`);
    }
  }
  if (problems.length > 0) throw loadError(checkpoint.folder, problems);
  return { loaded, fresh, unused: [...checkpoint.tensors.keys()].filter((name) => !used.has(name)) };
}

const isHead = (name: string): boolean => name.startsWith('classifier/');
const mayBeFresh = (name: string): boolean => isHead(name) || name.startsWith('bert/pooler/');

function find(tensors: ReadonlyMap<string, StoredTensor>, stored: StoredAs): StoredTensor | undefined {
  for (const name of spellings(stored)) {
    const tensor = tensors.get(name);
    if (tensor !== undefined) return tensor;
  }
  return undefined;
}

function valuesOf(tensor: StoredTensor, { transposed }: StoredAs): Float32Array {
  const values = tensor.read();
  return transposed ? transpose(values, tensor.shape[0]!, tensor.shape[1]!) : values;
}

const mostShown = 20;

function loadError(folder: string, problems: readonly string[]): UserError {
  const shown = problems.slice(0, mostShown).map((problem) => `  ${problem}`);
  const more = problems.length > mostShown ? [`  ... and ${problems.length - mostShown} more`] : [];
  return new UserError(
    'files',
    [`${folder}: the weights do not fit config.json:`, ...shown, ...more].join('\n'),
    'Check that config.json and the weights belong to one model.',
  );
}
