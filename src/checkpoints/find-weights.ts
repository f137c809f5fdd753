import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { UserError } from '../errors.js';
import type { Checkpoint } from './checkpoint.js';
import { findFairseqModel, openFairseq } from './fairseq.js';
import { openHuggingFace, openHuggingFaceWeights, weightFiles } from './huggingface.js';
import { recogniseFormat } from './open.js';
import { field, type PickleValue } from './pickle-values.js';
import { openPyTorch, type PyTorchFile } from './pytorch.js';
import { openSafetensors } from './safetensors.js';
import type { StoredTensor, TensorFile } from './stored-tensor.js';
import { findBundles, openTensorBundle } from './tensor-bundle.js';
import { chooseBundle, openTensorFlow } from './tensorflow.js';

/** Weights that are only looked at: also those that t4 cannot train, and those without a configuration. */

export type WeightFormat = Checkpoint['format'] | 'safetensors' | 'pytorch';

export interface FoundWeights {
  readonly format: WeightFormat;
  /** Where the configuration and the tokenizer would be. */
  readonly folder: string;
  /** Paths of the files that the tensors are in. */
  readonly files: readonly string[];
  /** With the configuration, where t4 can use it. */
  readonly checkpoint: Checkpoint | undefined;
  /** Why t4 cannot use them as a model; undefined where it can. */
  readonly refusal: UserError | undefined;
  /** What a fairseq file says of its model. */
  readonly settings: PickleValue | undefined;
  /** Every tensor of the files. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  close(): void;
}

/**
 * Opens the weights at a path: a folder in any format, one file of weights, or the prefix of a TensorFlow checkpoint. A
 * file that is the one its folder is about is opened with the configuration beside it.
 *
 * @throws UserError 'files' where they are damaged; undefined where there are none
 */
export function findWeights(path: string): FoundWeights | undefined {
  const prefix = bundlePrefix(path);
  if (prefix !== undefined) return findBundleWeights(dirname(prefix), prefix);
  if (!statSync(path).isDirectory()) return findFileWeights(path);
  switch (recogniseFormat(path)) {
    case 'huggingface':
      return findHuggingFaceWeights(path);
    case 'tensorflow':
      return findBundleWeights(path, bundleOf(path));
    case 'fairseq':
      return findPyTorchWeights(path, findFairseqModel(path)!);
    case undefined:
      return undefined;
  }
}

/** The prefix of the TensorFlow checkpoint that a path means: itself, or one of its files. */
export function bundlePrefix(path: string): string | undefined {
  const prefix = /^(.+)\.(index|data-\d{5}-of-\d{5})$/.exec(path)?.[1] ?? path;
  return existsSync(`${prefix}.index`) && !isFolder(prefix) ? prefix : undefined;
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/** Of several checkpoints the newest; a run of t4 keeps its weights apart from what the optimizer remembers. */
function bundleOf(folder: string): string {
  const prefixes = findBundles(folder);
  const weights = prefixes.find((prefix) => basename(prefix) === 'weights');
  if (weights !== undefined) return weights;
  try {
    return chooseBundle(folder);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return prefixes[prefixes.length - 1]!;
  }
}

interface Opened {
  readonly checkpoint: Checkpoint | undefined;
  readonly refusal: UserError | undefined;
}

/** Opens a model as training would, or finds out why that cannot be. */
function attempt(open: () => Checkpoint): Opened {
  try {
    return { checkpoint: open(), refusal: undefined };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { checkpoint: undefined, refusal: error };
  }
}

/** All tensors, whether or not the model could be opened. A damaged file fails here for the second time. */
function combine(
  opened: Opened,
  found: Omit<FoundWeights, keyof Opened | 'tensors' | 'close'>,
  open: () => TensorFile,
) {
  try {
    const file = open();
    const close = (): void => {
      file.close();
      opened.checkpoint?.close();
    };
    return { ...found, ...opened, tensors: file.tensors, close };
  } catch (error) {
    opened.checkpoint?.close();
    throw error;
  }
}

function findHuggingFaceWeights(folder: string): FoundWeights {
  const opened = attempt(() => openHuggingFace(folder));
  const files = weightFiles(folder).map((name) => join(folder, name));
  return combine(opened, { format: 'huggingface', folder, files, settings: undefined }, () =>
    openHuggingFaceWeights(folder),
  );
}

function findBundleWeights(folder: string, prefix: string): FoundWeights {
  const opened = attempt(() => openTensorFlow(folder, prefix));
  const name = basename(prefix);
  const names = readdirSync(folder).filter(
    (file) =>
      file === `${name}.index` || (file.startsWith(name) && /^\.data-\d+-of-\d+$/.test(file.slice(name.length))),
  );
  const files = names.sort().map((file) => join(folder, file));
  return combine(opened, { format: 'tensorflow', folder, files, settings: undefined }, () => openTensorBundle(prefix));
}

const weightEndings = ['.safetensors', '.bin', '.pt', '.pth', '.ckpt', '.th'] as const;

function findFileWeights(path: string): FoundWeights | undefined {
  if (!weightEndings.some((ending) => path.endsWith(ending))) return undefined;
  const folder = dirname(path);
  const format = recogniseFormat(folder);
  if (format === 'huggingface' && weightFiles(folder).join() === basename(path)) return findHuggingFaceWeights(folder);
  if (!path.endsWith('.safetensors')) return findPyTorchWeights(folder, path);
  const refusal = new UserError('files', `${path} alone says neither its family nor how many heads it has`);
  return combine(
    { checkpoint: undefined, refusal },
    { format: 'safetensors', folder, files: [path], settings: undefined },
    () => openSafetensors(path),
  );
}

/** A file of torch.save: fairseq's, or anybody's with a dict of tensors in it. */
function findPyTorchWeights(folder: string, path: string): FoundWeights {
  const file = openPyTorch(path);
  try {
    const settings = field(file.value, 'args') ?? field(field(file.value, 'cfg'), 'model') ?? undefined;
    const isFairseq = settings !== undefined && field(file.value, 'model') instanceof Map;
    const alone = new UserError('files', `${path} alone says neither its family nor how many heads it has`);
    const opened = isFairseq ? attempt(() => openFairseqFile(folder, path)) : { checkpoint: undefined, refusal: alone };
    const format = isFairseq ? ('fairseq' as const) : ('pytorch' as const);
    return combine(opened, { format, folder, files: [path], settings: isFairseq ? settings : undefined }, () => ({
      tensors: tensorsOf(file),
      close: () => {
        file.close();
      },
    }));
  } catch (error) {
    file.close();
    throw error;
  }
}

function openFairseqFile(folder: string, path: string): Checkpoint {
  if (findFairseqModel(folder) === path) return openFairseq(folder);
  throw new UserError('files', `${path} is not model.pt, nor the only *.pt of its folder`, 'Name it model.pt.');
}

/** The tensors of the file's dict, or of the one that trainers put the weights into. */
function tensorsOf(file: PyTorchFile): ReadonlyMap<string, StoredTensor> {
  const inner = ['model', 'state_dict', 'model_state_dict', 'module'].map((name) => field(file.value, name));
  const dict = inner.find((value) => value instanceof Map) ?? file.value;
  return file.stateDict(dict);
}
