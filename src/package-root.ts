import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

const packageSchema = z.object({ name: z.string(), version: z.string() });

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
  return packageSchema.parse(readPackage(packageRoot())).version;
}

function readPackage(folder: string): z.infer<typeof packageSchema> | undefined {
  const file = join(folder, 'package.json');
  if (!existsSync(file)) return undefined;
  return packageSchema.safeParse(JSON.parse(readFileSync(file, 'utf8'))).data;
}
