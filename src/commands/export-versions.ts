import { readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { findSavedModel } from '../checkpoints/describe-saved-model.js';
import { UserError } from '../errors.js';
import { beginFolder, orRefuse } from './convert-output.js';

/**
 * The folder of a served model: one folder a version, named by its number. TensorFlow Serving loads the largest number as
 * soon as the folder is there, and looks at nothing that is not named by a number.
 */

/** A version that appears with all its files, or not at all. */
export interface NewVersion {
  /** Where to write for now. */
  readonly path: string;
  /** Puts it into its place, as the next number that is free then. */
  finish(): number;
  /** Takes everything away again. After `finish` it does nothing. */
  discard(): void;
}

const otherOutput = 'Name another --output.';

/** Throws UserError 'usage' where something else than versions of a model is there, 'files' where nothing can be. */
export function refuseOtherFolders(folder: string): void {
  const found = orRefuse(folder, () => statSync(folder, { throwIfNoEntry: false }));
  if (found === undefined) return;
  if (!found.isDirectory()) throw new UserError('usage', `${folder} is a file, expected a folder`, otherOutput);
  const names = readdirSync(folder);
  if (names.includes('saved_model.pb')) {
    throw new UserError(
      'usage',
      `${folder} is itself a SavedModel, expected the folder of a model's versions`,
      'Name the folder around it, or another --output.',
    );
  }
  if (names.length === 0 || findSavedModel(folder) !== undefined) return;
  throw new UserError('usage', `${folder} is not empty, and has no version of an exported model`, otherOutput);
}

/** Throws UserError 'files' where no folder can be made there. */
export function beginVersion(folder: string): NewVersion {
  const staged = beginFolder(join(folder, 'version'));
  return {
    path: staged.path,
    finish() {
      for (let version = nextVersion(folder); ; version++) {
        if (moved(staged.path, join(folder, String(version)))) return version;
      }
    },
    discard: () => {
      staged.discard();
    },
  };
}

function nextVersion(folder: string): number {
  const versions = readdirSync(folder).filter((name) => /^\d{1,15}$/.test(name));
  return versions.reduce((largest, name) => Math.max(largest, Number(name)), 0) + 1;
}

/** False where another export has taken the name meanwhile. */
function moved(path: string, target: string): boolean {
  try {
    renameSync(path, target);
    return true;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR') return false;
    throw error;
  }
}
