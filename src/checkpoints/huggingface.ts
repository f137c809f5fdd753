import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../errors.js';
import type { Checkpoint } from './checkpoint.js';
import { readConfigFile } from './config-file.js';
import { huggingFaceNames } from './huggingface-names.js';
import { readJson } from './json.js';
import { openPyTorch } from './pytorch.js';
import { openSafetensors } from './safetensors.js';
import type { StoredTensor, TensorFile } from './stored-tensor.js';

/** The weights of a folder: one file, or an index of shards. The first that is there counts. */
const weightNames = ['model.safetensors', 'pytorch_model.bin'] as const;

/** Whether a folder has weights as Transformers saves them. */
export function hasHuggingFaceWeights(folder: string): boolean {
  return weightNames.some((name) => [name, `${name}.index.json`].some((file) => existsSync(join(folder, file))));
}

/** Opens a folder with `config.json` and `model.safetensors` or `pytorch_model.bin`, single or sharded. */
export function openHuggingFace(folder: string): Checkpoint {
  const configPath = join(folder, 'config.json');
  const { config, labels } = readConfigFile(
    configPath,
    `${folder} has no config.json, so it is not a Hugging Face model folder`,
  );
  const weights = openHuggingFaceWeights(folder);
  const storedAs = huggingFaceNames(config);
  return { format: 'huggingface', folder, configPath, config, labels, storedAs, ...weights };
}

/** The tensors of such a folder, whatever its config.json says. */
export function openHuggingFaceWeights(folder: string): TensorFile {
  const files: TensorFile[] = [];
  const close = (): void => {
    for (const file of files) file.close();
  };
  try {
    const tensors = new Map<string, StoredTensor>();
    for (const name of weightFiles(folder)) {
      const file = openWeights(join(folder, name));
      files.push(file);
      for (const tensor of file.tensors.values()) tensors.set(tensor.name, tensor);
    }
    return { tensors, close };
  } catch (error) {
    close();
    throw error;
  }
}

function openWeights(path: string): TensorFile {
  if (path.endsWith('.safetensors')) return openSafetensors(path);
  const file = openPyTorch(path);
  try {
    return {
      tensors: file.stateDict(file.value),
      close: () => {
        file.close();
      },
    };
  } catch (error) {
    file.close();
    throw error;
  }
}

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/** The names of the files that a folder's weights are in. Throws UserError 'files' where it has none, or not all. */
export function weightFiles(folder: string): string[] {
  for (const name of weightNames) {
    if (existsSync(join(folder, name))) return [name];
    const index = join(folder, `${name}.index.json`);
    if (existsSync(index)) return shards(folder, index);
  }
  throw new UserError(
    'files',
    `${folder} has no model.safetensors`,
    'Weights are read from model.safetensors or pytorch_model.bin, or from their shards with the index (*.index.json).',
  );
}

function shards(folder: string, index: string): string[] {
  const parsed = indexSchema.safeParse(readJson(index, `${index} does not exist`));
  if (!parsed.success) throw new UserError('files', `${index}: ${z.prettifyError(parsed.error)}`);
  const names = [...new Set(Object.values(parsed.data.weight_map))].sort();
  for (const name of names) {
    // A shard's name comes from outside; it must not lead out of the folder.
    if (basename(name) !== name) throw new UserError('files', `${index}: shard ${name} is not a plain file name`);
    if (!existsSync(join(folder, name))) throw new UserError('files', `${folder} lacks the shard ${name}`);
  }
  return names;
}
