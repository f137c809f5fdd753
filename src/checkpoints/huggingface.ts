import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../errors.js';
import type { Checkpoint } from './checkpoint.js';
import { readConfigFile } from './config-file.js';
import { huggingFaceNames } from './huggingface-names.js';
import { readJson } from './json.js';
import { openSafetensors } from './safetensors.js';
import type { StoredTensor, TensorFile } from './stored-tensor.js';

/** Opens a folder with `config.json` and `model.safetensors`, single or sharded. */
export function openHuggingFace(folder: string): Checkpoint {
  const configPath = join(folder, 'config.json');
  const { config, labels } = readConfigFile(
    configPath,
    `${folder} has no config.json, so it is not a Hugging Face model folder`,
  );
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
    const storedAs = huggingFaceNames(config);
    return { format: 'huggingface', folder, configPath, config, labels, tensors, storedAs, close };
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
