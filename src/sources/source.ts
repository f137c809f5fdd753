import { isAbsolute } from 'node:path';

/** A model source as written, taken apart; the folder's path is not resolved yet. */
export type ModelSource =
  | { readonly kind: 'pypi'; readonly name: string; readonly version: string }
  | { readonly kind: 'hub'; readonly repository: string; readonly revision: string | undefined }
  | { readonly kind: 'folder'; readonly path: string };

export const sourceForms =
  'pypi:NAME@VERSION, hf:OWNER/NAME, an absolute folder, or ./FOLDER relative to the task file';

const pypiForm = /^pypi:([A-Za-z0-9][\w.-]*)@(\d[\w.+!-]*)$/;
const hubForm = /^hf:([\w.-]+\/[\w.-]+)(?:@([\w./-]+))?$/;

/** Undefined for a scheme that is unknown or malformed; anything without a scheme is a folder. */
export function parseModelSource(source: string): ModelSource | undefined {
  const [, name, version] = pypiForm.exec(source) ?? [];
  if (name !== undefined && version !== undefined) return { kind: 'pypi', name, version };
  const [, repository, revision] = hubForm.exec(source) ?? [];
  if (repository !== undefined) return { kind: 'hub', repository, revision };
  if (/^[a-z]{2,}:/.test(source)) return undefined;
  return { kind: 'folder', path: source };
}

/** Whether a task file may hold this: a relative folder must say so, lest it be taken for a name. */
export function isModelSource(source: string): boolean {
  const parsed = parseModelSource(source);
  if (parsed?.kind !== 'folder') return parsed !== undefined;
  return isAbsolute(source) || isRelativePath(source);
}

/** Begins with ./ or ../ */
export function isRelativePath(path: string): boolean {
  return /^\.\.?(\/|$)/.test(path);
}
