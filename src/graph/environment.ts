// Must be evaluated before @tensorflow/tfjs-node-gpu: the native library reads these when it is loaded,
// and tfjs-node calls two `util` functions that Node 23 removed.
import { join } from 'node:path';
import util from 'node:util';
import { loadAddon, packageFolder } from './addons.js';

process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= 'true';
// One op at a time, on all processors. A step is a chain but for small ops beside it, and one of those would take a
// processor from a product whose threads then wait for one another: a step of BERT-base takes 5 % longer in bf16.
process.env.TF_NUM_INTEROP_THREADS ??= '1';

const removedFromNode: Record<string, (value: unknown) => boolean> = {
  isNullOrUndefined: (value) => value === null || value === undefined,
  isArray: (value) => Array.isArray(value),
};
for (const [name, replacement] of Object.entries(removedFromNode)) {
  if (!(name in util)) Object.defineProperty(util, name, { value: replacement });
}

/** Loads TensorFlow's library without its notes on standard error. Without the addon it is merely louder. */
function loadQuietly(): void {
  const quiet = loadAddon('quiet') as { load: (path: string) => void } | undefined;
  quiet?.load(join(packageFolder(), 'deps', 'lib', 'libtensorflow_framework.so.2'));
}
loadQuietly();
