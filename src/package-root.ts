import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Package {
  readonly name: string;
  readonly version: string;
}

/**
 * The folder of t4's own package.json, where tasks/, configs/ and tools/ lie.
 * Found by walking up, because the compiled file lies deeper (dist/src) than the source (src).
 */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    if (readPackage(folder)?.name === 't4') return folder;
    const parent = dirname(folder);
    if (parent === folder) throw new Error(`no package.json of t4 above ${fileURLToPath(import.meta.url)}`);
    folder = parent;
  }
}

export function packageVersion(): string {
  const found = readPackage(packageRoot());
  if (found === undefined) throw new Error('the package.json that was there is gone');
  return found.version;
}

/** Checked by hand: `t4 --help` comes through here, and loading zod takes a quarter of its time. */
function readPackage(folder: string): Package | undefined {
  const file = join(folder, 'package.json');
  if (!existsSync(file)) return undefined;
  const content: unknown = JSON.parse(readFileSync(file, 'utf8'));
  if (typeof content !== 'object' || content === null || !('name' in content && 'version' in content)) return undefined;
  const { name, version } = content;
  return typeof name === 'string' && typeof version === 'string' ? { name, version } : undefined;
}
