import { statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UserError } from '../errors.js';
import { cachedSnapshot, repositoryFolder } from '../sources/hub-cache.js';
import { hubEnvironment } from '../sources/hub-environment.js';
import { resolvePypiModel } from '../sources/pypi.js';
import { parseModelSource } from '../sources/source.js';
import type { ResolvedTask } from '../task/load.js';
import { loadTokenizer } from '../tokenization/load.js';
import type { Tokenizer } from '../tokenization/tokenizer.js';

/** The model of a task, and the file that its relative folder is relative to. */
type ModelOfTask = Pick<ResolvedTask, 'model' | 'file'>;

export type TokenizerAtHand =
  | { readonly tokenizer: Tokenizer }
  /** There is none on this machine, or none that can be used: why. */
  | { readonly reason: string };

/** The tokenizer of the task's model, where it is on this machine: nothing is fetched for it. */
export function tokenizerAtHand(task: ModelOfTask): TokenizerAtHand {
  try {
    const folder = folderAtHand(task);
    return typeof folder === 'string' ? { tokenizer: loadTokenizer(folder) } : folder;
  } catch (error) {
    if (error instanceof UserError) return { reason: error.message };
    throw error;
  }
}

function folderAtHand({ model, file }: ModelOfTask): string | { readonly reason: string } {
  if (model.kind === 'random') return model.vocab.path;
  const source = parseModelSource(model.source);
  // The task was checked: what cannot be parsed does not come here.
  if (source === undefined) throw new TypeError(`model source ${model.source} is none`);
  switch (source.kind) {
    case 'pypi':
      return resolvePypiModel(source.name, source.version);
    case 'hub': {
      const { cacheFolder } = hubEnvironment(process.env);
      const { repository, revision = 'main' } = source;
      const snapshot = cachedSnapshot(repositoryFolder(cacheFolder, repository), revision);
      return snapshot ?? { reason: `${model.source} is not in ${cacheFolder}, and nothing is downloaded for a check` };
    }
    case 'folder': {
      const folder = resolve(dirname(file), source.path);
      const isFolder = statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true;
      return isFolder ? folder : { reason: `${folder} is no folder` };
    }
  }
}
