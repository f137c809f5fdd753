import { closeSync } from 'node:fs';
import { UserError } from '../errors.js';
import { damagedFile, fileSize, openForReading, readFully, refuseGitLfs } from './file-bytes.js';
import type { OpenFile } from './pickle-bytes.js';
import { describeValue, isKind, type PickleValue } from './pickle-values.js';
import { isLegacyLayout, readLegacyLayout } from './pytorch-legacy.js';
import { readTensor } from './pytorch-tensors.js';
import { readZipLayout } from './pytorch-zip.js';
import type { StoredTensor } from './stored-tensor.js';

/** Files of torch.save, read without running what they ask for. */

/** A PyTorch file, opened: the pickled value, with its tensors still on disk. */
export interface PyTorchFile {
  readonly path: string;
  readonly value: PickleValue;
  /** The tensors of a dict inside `value`, by name; its entries that are no tensors are left out. */
  stateDict(value: PickleValue | undefined): ReadonlyMap<string, StoredTensor>;
  close(): void;
}

/** Opens a file of torch.save, of any version since 0.1.10. Throws UserError 'files'. */
export function openPyTorch(path: string): PyTorchFile {
  const descriptor = openForReading(path);
  let open = true;
  const close = (): void => {
    if (open) closeSync(descriptor);
    open = false;
  };
  try {
    const file: OpenFile = { path, descriptor, size: fileSize(path) };
    const value = readValue(file);
    return {
      path,
      value,
      stateDict: (dict) =>
        stateDict(path, dict, (name, tensor) => {
          // The descriptor may be another file's by now.
          if (!open) throw new Error(`${path}: tensor ${name} is read after the file has been closed`);
          return readTensor(file, name, tensor);
        }),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

function readValue(file: OpenFile): PickleValue {
  const { path, size } = file;
  const start = Buffer.alloc(Math.min(size, 512));
  readFully(path, file.descriptor, start, 0);
  if (start.subarray(0, 4).equals(Buffer.from('PK\x03\x04', 'latin1'))) return readZipLayout(file);
  if (isLegacyLayout(start.subarray(0, 32))) return readLegacyLayout(file);
  if (start.toString('latin1', 257, 262) === 'ustar') {
    throw new UserError(
      'files',
      `${path}: a tar archive`,
      'If it is a checkpoint of PyTorch before 0.1.10, load and save it in Python; otherwise unpack it: tar -xf.',
    );
  }
  refuseGitLfs(path, start);
  if (start.toString('latin1', 0, 2) === '\x1f\x8b') {
    throw new UserError('files', `${path}: packed with gzip`, 'Unpack it first: tar -xzf or gunzip.');
  }
  if (size < 512) throw damagedFile(path, `${size} bytes, too short for a file of torch.save`);
  throw new UserError('files', `${path}: not a file of torch.save`, 'Expected a zip file or the older layout.');
}

function stateDict(
  path: string,
  dict: PickleValue | undefined,
  read: (name: string, tensor: Parameters<typeof readTensor>[2]) => Float32Array,
): Map<string, StoredTensor> {
  if (!(dict instanceof Map)) {
    throw new UserError(
      'files',
      `${path}: ${describeValue(dict)} where a dict of tensors is expected`,
      'Save the state dict of the model: torch.save(model.state_dict(), path).',
    );
  }
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of dict) {
    if (typeof name !== 'string' || !isKind(tensor, 'tensor')) continue;
    tensors.set(name, { name, dtype: tensor.dtype, shape: tensor.shape, read: () => read(name, tensor) });
  }
  return tensors;
}
