import { isAbsolute } from 'node:path';

/** A model source as written, taken apart; the folder's path is not resolved yet. */
export type ModelSource =
  | { readonly kind: 'pypi'; readonly name: string; readonly version: string }
  | { readonly kind: 'hub'; readonly repository: string; readonly revision: string | undefined }
  | { readonly kind: 'folder'; readonly path: string };

export const sourceForms =
  'pypi:NAME@VERSION, hf:OWNER/NAME[@REVISION], an absolute folder, or ./FOLDER relative to the task file';

const pypiForm = /^pypi:([A-Za-z0-9][\w.-]*)@(\d[\w.+!-]*)$/;
const hubForm = /^hf:([A-Za-z0-9][\w.-]*\/[\w.-]+)(?:@([\w./-]+))?$/;

/** Undefined for a scheme that is unknown or malformed; anything without a scheme is a folder. */
export function parseModelSource(source: string): ModelSource | undefined {
  const [, name, version] = pypiForm.exec(source) ?? [];
  if (name !== undefined && version !== undefined) return { kind: 'pypi', name, version };
  const [, repository, revision] = hubForm.exec(source) ?? [];
  if (repository !== undefined && isRepository(repository) && isRevision(revision ?? 'main')) {
    return { kind: 'hub', repository, revision };
  }
  if (/^[a-z]{2,}:/.test(source)) return undefined;
  return { kind: 'folder', path: source };
}

/** The hub's own rule. The cache makes one folder name of it, with -- between owner and name. */
const isRepository = (text: string): boolean => !/\.\.|--|\/\.|[.-]$|\.git$/.test(text);

/** The cache has a file of this name. */
const isRevision = (text: string): boolean =>
  text.split('/').every((part) => part !== '' && part !== '.' && part !== '..');

/** Models of the hub's first days are known by names without an owner; these are their owners today. */
const owners: readonly (readonly [RegExp, string])[] = [
  [/^bert-/, 'google-bert'],
  [/^albert-/, 'albert'],
  [/^distilbert-/, 'distilbert'],
  [/^(xlm-)?roberta-/, 'FacebookAI'],
];

/** What a source that cannot be parsed should have been. */
export function expectedSource(source: string): string {
  const meant = hubSourceMeant(source);
  return `expected ${sourceForms}${meant === undefined ? '' : ` (did you mean ${meant}?)`}`;
}

/** The source of the hub that somebody meant who wrote its page, its bare name, or a name without its owner. */
export function hubSourceMeant(source: string): string | undefined {
  const page = /^(?:https?:\/\/)?(?:www\.)?(?:huggingface\.co|hf\.co)\/([\w.-]+\/[\w.-]+)/i.exec(source)?.[1];
  const named = page ?? source.replace(/^hf:/i, '');
  const [, name = '', revision = ''] = /^([\w.-]+)(@.*)?$/.exec(named) ?? [];
  const owner = owners.find(([pattern]) => pattern.test(name))?.[1];
  const meant = `hf:${owner === undefined ? named : `${owner}/${name}${revision}`}`;
  return meant !== source && parseModelSource(meant)?.kind === 'hub' ? meant : undefined;
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
