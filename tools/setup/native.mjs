// Steps 3 and 4: TensorFlow's library in the cache, linked to the npm package, and the binding compiled against it.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { compileAndLoad } from './addons.mjs';
import { SetupError } from './errors.mjs';
import { cacheFolder, fingerprint, linkWhole, readJson, remove, writeWhole } from './files.mjs';
import { say } from './output.mjs';
import { run } from './processes.mjs';
import { makeTree, treeIsWhole } from './trees.mjs';
import { libraryWheels, tensorflowVersion } from './wheels.mjs';

const platform = `${process.platform}-${process.arch}`;

/** The folder of an npm package, wherever npm has put it; undefined when it is not installed. */
function packageFolder(root, name) {
  try {
    return path.dirname(createRequire(path.join(root, 'package.json')).resolve(`${name}/package.json`));
  } catch {
    return undefined;
  }
}

/** The places in tfjs-node-gpu's package. The stamp lies beside the binding: who deletes one deletes the other. */
function placesIn(packageRoot) {
  const binding = path.join(packageRoot, 'lib', 'napi-v8', 'tfjs_binding.node');
  return {
    binding,
    stamp: path.join(path.dirname(binding), 't4-setup.json'),
    link: path.join(packageRoot, 'deps', 'lib'),
  };
}

/** @returns {{ variant: 'cpu' | 'gpu', library: string, tensorflow: string, addons: string, demoModel: boolean } | undefined} */
export function readStamp(root) {
  const packageRoot = packageFolder(root, '@tensorflow/tfjs-node-gpu');
  return packageRoot === undefined ? undefined : readJson(placesIn(packageRoot).stamp);
}

/** The addons of this repository itself: each native/<name>.cc becomes native/build/<name>.node. */
function ownAddons(root) {
  const folder = path.join(root, 'native');
  if (!fs.existsSync(folder)) return [];
  return fs
    .readdirSync(folder)
    .filter((name) => name.endsWith('.cc'))
    .map((name) => path.parse(name).name);
}

function ownAddonFile(root, name) {
  return path.join(root, 'native', 'build', `${name}.node`);
}

function ownAddonsFingerprint(root) {
  return fingerprint(root, ['native'], (name) => /\.(cc|h)$/.test(name));
}

/** Asked before every command, so it only looks at names, links and sizes. */
export function nativeInPlace(root, variant) {
  const packageRoot = packageFolder(root, '@tensorflow/tfjs-node-gpu');
  if (packageRoot === undefined) return false;
  const { binding, stamp, link } = placesIn(packageRoot);
  const state = readJson(stamp);
  if (state?.tensorflow !== tensorflowVersion || (variant !== undefined && variant !== state.variant)) return false;
  const wheels = libraryWheels[platform]?.[state.variant];
  return (
    wheels !== undefined &&
    fs.existsSync(binding) &&
    readLink(link) === path.join(state.library, 'lib') &&
    treeIsWhole(state.library, wheels) &&
    state.addons === ownAddonsFingerprint(root) &&
    ownAddons(root).every((name) => fs.existsSync(ownAddonFile(root, name)))
  );
}

function readLink(link) {
  try {
    return fs.readlinkSync(link);
  } catch {
    return undefined;
  }
}

export function checkPlatform() {
  const known = Object.keys(libraryWheels);
  const alternative = 'In a Linux container, a virtual machine or WSL, t4 runs on other systems too.';
  if (!known.includes(platform)) {
    throw new SetupError('environment', `the native library exists for ${known.join(' and ')}; this is ${platform}.`, [
      'The commands config, data and inspect work here without it.',
      alternative,
    ]);
  }
  process.report.excludeNetwork = true; // else the report asks for the names of open connections
  if (process.report.getReport().header.glibcVersionRuntime === undefined) {
    throw new SetupError(
      'environment',
      'the native library needs glibc 2.27 or newer, and this system has another C library.',
      ['Alpine Linux has musl: use an image that is based on Debian, Ubuntu or Fedora.'],
    );
  }
}

/** Whether there is an NVIDIA GPU with a working driver. */
async function gpuAnswers() {
  const { ok, stdout } = await run('nvidia-smi', ['-L'], { timeout: 30_000 });
  return ok && stdout.includes('GPU');
}

/**
 * @param {'cpu' | 'gpu' | undefined} asked by an option
 * @param {'cpu' | 'gpu' | undefined} before by the last set-up's stamp
 */
async function chooseVariant(asked, before) {
  const hasGpuLibrary = libraryWheels[platform].gpu !== undefined;
  if (asked === 'gpu' && !hasGpuLibrary) {
    throw new SetupError('environment', `there is no TensorFlow library with CUDA for ${platform}.`, [
      'Without --gpu, the one for the CPU is set up.',
    ]);
  }
  if (asked !== undefined) return asked;
  if (before !== undefined && libraryWheels[platform][before] !== undefined) return before;
  if (!hasGpuLibrary || !(await gpuAnswers())) return 'cpu';
  say('nvidia-smi found a GPU: setting up the library with CUDA (--cpu for the small one without).');
  return 'gpu';
}

/** Why the addon does not load here, or undefined when it does. In another process: it may not survive the try. */
async function loadAddon(file) {
  const script = 'process.stdout.write(String(require(process.argv[1]).TF_Version ?? "ok"))';
  const { ok, stderr, signal } = await run(process.execPath, ['-e', script, file], {
    env: { TF_CPP_MIN_LOG_LEVEL: '3' },
  });
  if (ok) return undefined;
  if (signal === 'SIGILL') {
    return new SetupError(
      'environment',
      "this processor cannot run TensorFlow's library: it lacks the AVX instructions.",
      ['A virtual machine may hide them: choose another type of processor for it ("host").'],
    );
  }
  const reason = stderr.split('\n').find((line) => /Error|error/.test(line)) ?? stderr.trim().split('\n').at(-1);
  return new SetupError('environment', `${path.basename(file)} was compiled but does not load:`, [
    (reason ?? `ended by ${signal}`).replace(/^Error: /, '').slice(0, 500),
    'A version that is "not found" belongs to a system library older than the compiler in use (CXX names another).',
  ]);
}

/**
 * Library, link, binding, own addons, stamp. Only for the holder of the lock.
 * @param {string} root
 * @param {object} wishes
 * @param {'cpu' | 'gpu' | undefined} wishes.variant asked for by an option
 * @param {ReturnType<typeof readStamp>} wishes.before the stamp as it was before npm emptied node_modules
 * @param {boolean} wishes.demoModel
 * @param {string} scratch
 * @param {() => Promise<string>} findPython
 */
export async function setUpNative(root, wishes, scratch, findPython) {
  checkPlatform();
  const cache = cacheFolder();
  const packageRoot = packageFolder(root, '@tensorflow/tfjs-node-gpu');
  const nodeHeaders = packageFolder(root, 'node-api-headers');
  if (packageRoot === undefined || nodeHeaders === undefined) {
    const missing = packageRoot === undefined ? '@tensorflow/tfjs-node-gpu' : 'node-api-headers';
    throw new SetupError('environment', `the npm package ${missing} is not installed.`, [
      'Run: npm ci --ignore-scripts',
    ]);
  }
  const { binding, stamp, link } = placesIn(packageRoot);
  const variant = await chooseVariant(wishes.variant, wishes.before?.variant);
  const library = path.join(cache, 'tensorflow', `${tensorflowVersion}-${variant}-${platform}`);
  await makeTree({
    name: "TensorFlow's library",
    tree: library,
    wheels: libraryWheels[platform][variant],
    links: {
      'lib/libtensorflow.so': 'libtensorflow_cc.so.2',
      'lib/libtensorflow_framework.so': 'libtensorflow_framework.so.2',
    },
    scratch,
    findPython,
  });

  remove(stamp);
  fs.mkdirSync(path.dirname(link), { recursive: true });
  linkWhole(path.join(library, 'lib'), link);
  const includes = [path.join(library, 'include'), path.join(nodeHeaders, 'include')];
  const places = { cache, scratch };
  await compileAndLoad(tfjsBinding(packageRoot, library, includes, binding), places, loadAddon);
  const addons = ownAddonsFingerprint(root);
  for (const name of ownAddons(root)) {
    await compileAndLoad(ownAddon(root, name, library, packageRoot, includes), places, loadAddon);
  }
  const state = { tensorflow: tensorflowVersion, variant, library, addons, demoModel: wishes.demoModel };
  writeWhole(stamp, JSON.stringify(state));
}

function tfjsBinding(packageRoot, library, includes, output) {
  const files = fs.readdirSync(path.join(packageRoot, 'binding'), { encoding: 'utf8' });
  const inBinding = (ending) => files.filter((name) => name.endsWith(ending)).map((name) => `binding/${name}`);
  return {
    name: 'tfjs_binding',
    folder: packageRoot,
    sources: inBinding('.cc'),
    headers: inBinding('.h'),
    includes,
    library: path.join(library, 'lib'),
    rpath: '$ORIGIN/../../deps/lib',
    output,
    version: tensorflowVersion,
  };
}

function ownAddon(root, name, library, packageRoot, includes) {
  const folder = path.join(root, 'native');
  const output = ownAddonFile(root, name);
  return {
    name,
    folder,
    sources: [`${name}.cc`],
    headers: fs.readdirSync(folder).filter((file) => file.endsWith('.h')),
    includes,
    library: path.join(library, 'lib'),
    rpath: `$ORIGIN/${path.relative(path.dirname(output), path.join(packageRoot, 'deps', 'lib'))}`,
    output,
    version: tensorflowVersion,
  };
}
