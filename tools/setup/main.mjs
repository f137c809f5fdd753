// The steps of the set-up and its command line. Each step is skipped where its result is in place, writes beside and
// renames, and can be killed at any moment and run again.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, buildInPlace } from './build.mjs';
import { demoModelInPlace, fetchDemoModel } from './demo-model.mjs';
import { exitCodes, explain } from './errors.mjs';
import { cacheFolder, remove } from './files.mjs';
import { withLock } from './lock.mjs';
import { checkPlatform, nativeInPlace, readStamp, setUpNative } from './native.mjs';
import { say, setQuiet } from './output.mjs';
import { installPackages, packagesInPlace } from './packages.mjs';
import { interruptible } from './processes.mjs';
import { findPython } from './python.mjs';

const usage = `Usage: node tools/setup.mjs [options]     (or: npm run setup -- [options])

Installs the packages, fetches TensorFlow's library, compiles the binding to it, fetches the model of the demo task
and builds the sources. What is in place is left alone; a run that was interrupted goes on where it stopped.

  --gpu            the library with CUDA (3.4 GB to download, 5.7 GB on disk); the default where nvidia-smi finds a GPU
  --cpu            the library without CUDA (274 MB to download, 0.9 GB on disk)
  --no-demo-model  leave the demo task's model out (84 MB)
  --quiet          print nothing but errors
  --help           print this

PYTHON and CXX name the Python and the C++ compiler to use; XDG_CACHE_HOME the folder under which downloads are kept.
Exit codes: 0 done, 1 the sources do not compile, 2 unknown option, 4 something is missing here, 7 disk or files.`;

/**
 * @typedef {object} Wishes
 * @property {string} root
 * @property {boolean} native whether the native library is needed; without it, packages and build are enough
 * @property {'cpu' | 'gpu'} [variant] undefined: as before, or what fits the machine
 * @property {boolean} [demoModel] undefined: unless the last set-up was told to leave it out
 */

/** The steps in their order; each with the question whether its result is in place. @param {Wishes} wishes */
function stepsFor(wishes) {
  const { root, native, variant } = wishes;
  const before = native ? readStamp(root) : undefined;
  const demoModel = wishes.demoModel ?? before?.demoModel ?? true;
  const packages = { inPlace: () => packagesInPlace(root), make: (scratch) => installPackages(root, scratch) };
  const sources = { inPlace: () => buildInPlace(root), make: (scratch) => build(root, scratch) };
  if (!native) return [packages, sources];
  const library = {
    inPlace: () => nativeInPlace(root, variant),
    make: (scratch) => setUpNative(root, { variant, before, demoModel }, scratch, findPython),
  };
  const model = {
    inPlace: () => !demoModel || demoModelInPlace(),
    make: (scratch) => fetchDemoModel(scratch, findPython),
  };
  return [packages, library, model, sources];
}

/**
 * Makes what is missing. Cheap where nothing is: it looks at stamps, names and sizes only.
 * @param {Wishes} wishes
 * @returns {Promise<boolean>} whether there was anything to do
 */
async function setUp(wishes) {
  const steps = stepsFor(wishes);
  if (steps.every((step) => step.inPlace())) return false;
  if (wishes.native) checkPlatform(); // before minutes of npm
  const cache = cacheFolder();
  await interruptible(() =>
    withLock(cache, async () => {
      const scratches = path.join(cache, 'scratch');
      remove(scratches); // what killed runs left
      const scratch = path.join(scratches, String(process.pid));
      fs.mkdirSync(scratch, { recursive: true });
      try {
        // Asked again: the process that held the lock before us may have done it.
        for (const step of steps) if (!step.inPlace()) await step.make(scratch);
      } finally {
        remove(scratches);
      }
    }),
  );
  return true;
}

/**
 * setUp for a command line: failures are printed, in lines that say what to do, and become an exit code.
 * @param {Wishes} wishes
 * @returns {Promise<{ exitCode: number, changed: boolean }>}
 */
export async function setUpOrExplain(wishes) {
  try {
    return { exitCode: 0, changed: await setUp(wishes) };
  } catch (error) {
    const { lines, exitCode } = explain(error);
    process.stderr.write(`t4 setup: ${lines.join('\n  ')}\n`);
    return { exitCode, changed: false };
  }
}

function parseOptions(args) {
  const known = ['--gpu', '--cpu', '--no-demo-model', '--quiet', '--help'];
  const unknown = args.find((arg) => !known.includes(arg));
  if (unknown !== undefined) return { problem: `unknown option ${unknown}; known are ${known.join(', ')}.` };
  if (args.includes('--gpu') && args.includes('--cpu')) return { problem: '--gpu and --cpu exclude each other.' };
  return {
    help: args.includes('--help'),
    quiet: args.includes('--quiet'),
    variant: args.includes('--gpu') ? 'gpu' : args.includes('--cpu') ? 'cpu' : undefined,
    demoModel: !args.includes('--no-demo-model'),
  };
}

/** @param {string[]} args @returns {Promise<number>} the exit code */
export async function main(args) {
  const { problem, help, quiet, variant, demoModel } = parseOptions(args);
  if (problem !== undefined) {
    process.stderr.write(`t4 setup: ${problem}\n`);
    return exitCodes.usage;
  }
  if (help) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  setQuiet(quiet);
  const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
  const { exitCode, changed } = await setUpOrExplain({ root, native: true, variant, demoModel });
  if (exitCode === 0) say(changed ? 'Set-up is complete.' : 'All is in place.');
  return exitCode;
}
