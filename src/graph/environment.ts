// Must be evaluated before @tensorflow/tfjs-node-gpu: the native library reads these when it is loaded,
// and tfjs-node calls two `util` functions that Node 23 removed.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import util from 'node:util';

process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= 'true';

const removedFromNode: Record<string, (value: unknown) => boolean> = {
  isNullOrUndefined: (value) => value === null || value === undefined,
  isArray: (value) => Array.isArray(value),
};
for (const [name, replacement] of Object.entries(removedFromNode)) {
  if (!(name in util)) Object.defineProperty(util, name, { value: replacement });
}

/** Loads TensorFlow's library without its notes on standard error. Without the addon it is merely louder. */
function loadQuietly(): void {
  const require = createRequire(import.meta.url);
  const packageFolder = dirname(require.resolve('@tensorflow/tfjs-node-gpu/package.json'));
  const library = join(packageFolder, 'deps', 'lib', 'libtensorflow_framework.so.2');
  // node_modules lies beside native/ in every layout; this file is compiled to another depth than its source.
  const addon = join(packageFolder, '..', '..', '..', 'native', 'build', 'quiet.node');
  if (!existsSync(addon)) return;
  const { load } = require(addon) as { load: (path: string) => void };
  load(library);
}
loadQuietly();
