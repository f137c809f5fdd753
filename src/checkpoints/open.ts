import { existsSync, readdirSync, statSync } from 'node:fs';
import { UserError } from '../errors.js';
import type { Checkpoint } from './checkpoint.js';
import { findFairseqModel, openFairseq } from './fairseq.js';
import { hasHuggingFaceWeights, openHuggingFace } from './huggingface.js';
import { openTensorFlow } from './tensorflow.js';

export type CheckpointFormat = Checkpoint['format'];

/** Recognises the format of a model's folder by its files; undefined where there is none that is known. */
export const recogniseFormat = (folder: string): CheckpointFormat | undefined =>
  (['huggingface', 'tensorflow', 'fairseq'] as const).find((format) => hasFormat(folder, format));

function hasFormat(folder: string, format: CheckpointFormat): boolean {
  switch (format) {
    case 'huggingface':
      return hasHuggingFaceWeights(folder);
    case 'tensorflow':
      return readdirSync(folder).some((name) => name.endsWith('.index'));
    case 'fairseq':
      return findFairseqModel(folder) !== undefined;
  }
}

/**
 * Opens a model's folder: Hugging Face's, Google's or fairseq's.
 *
 * @param format undefined: recognised by the files
 * @throws UserError 'files' where it is none of them, or is damaged, or of a kind that is not supported
 */
export function openCheckpoint(folder: string, format?: CheckpointFormat): Checkpoint {
  if (!existsSync(folder) || !statSync(folder).isDirectory()) throw new UserError('files', `${folder} is not a folder`);
  const recognised = recogniseFormat(folder);
  if (format !== undefined && recognised !== undefined && !hasFormat(folder, format)) {
    throw new UserError('usage', `--from: got ${format}, but the files in ${folder} are of the format ${recognised}`);
  }
  switch (format ?? recognised) {
    case 'huggingface':
      return openHuggingFace(folder);
    case 'tensorflow':
      return openTensorFlow(folder);
    case 'fairseq':
      return openFairseq(folder);
    case undefined:
      throw unknownFormat(folder);
  }
}

const mostShown = 12;

/** Says what is there instead. */
export function unknownFormat(folder: string): UserError {
  const names = readdirSync(folder).sort();
  const more = names.length > mostShown ? ` and ${names.length - mostShown} more` : '';
  const found = names.length === 0 ? 'nothing' : `${names.slice(0, mostShown).join(', ')}${more}`;
  const several = names.filter((name) => name.endsWith('.pt')).length > 1;
  return new UserError(
    'files',
    `${folder}: no weights that t4 can read, found ${found}`,
    'Expected config.json with model.safetensors or pytorch_model.bin (Hugging Face), *.ckpt.index with\n' +
      'bert_config.json (TensorFlow), or model.pt (fairseq).' +
      (several ? '\nOf several files of fairseq, call the one that is meant model.pt.' : ''),
  );
}
