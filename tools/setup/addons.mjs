// A Node addon is one compiler call: Node's headers come from the npm package node-api-headers, so no node-gyp.
import fs from 'node:fs';
import path from 'node:path';
import { SetupError, diskFullError, saysDiskFull } from './errors.mjs';
import { copyWhole, remove, sha256 } from './files.mjs';
import { say } from './output.mjs';
import { run } from './processes.mjs';

// No -march=native: the cache may be on a home folder that machines of several kinds share.
const flags = ['-O2', '-fPIC', '-shared', '-std=c++17', '-DNAPI_VERSION=8', '-DBUILDING_NODE_EXTENSION'];

async function findCompiler() {
  // CXX may hold arguments: "ccache g++".
  const candidates = process.env.CXX ? [process.env.CXX] : ['g++', 'c++', 'clang++'];
  for (const candidate of candidates) {
    const [command, ...args] = candidate.trim().split(/\s+/);
    if ((await run(command, [...args, '--version'])).ok) return [command, ...args];
  }
  throw new SetupError('environment', `no C++ compiler was found (tried ${candidates.join(', ')}).`, [
    "It compiles TensorFlow.js's binding to the native library, once (some 10 seconds).",
    'Debian, Ubuntu:  sudo apt-get install g++',
    'Fedora:          sudo dnf install gcc-c++',
    'If it has another name here, name it: CXX=clang++-17 npm run setup',
  ]);
}

/** The lines that say what is wrong, without the notes around them. */
function compilerErrors(stderr) {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  const errors = lines.filter((line) => /error|undefined reference|cannot find/.test(line));
  return (errors.length > 0 ? errors : lines).slice(0, 6);
}

/**
 * Compiles the sources into an addon. The result is kept in the cache under a hash of all that went in,
 * so a second checkout does not compile.
 * @param {object} addon
 * @param {string} addon.name
 * @param {string} addon.folder what the compiler's -I. is
 * @param {string[]} addon.sources in `folder`, and
 * @param {string[]} addon.headers the files of `folder` that they include
 * @param {string[]} addon.includes further include folders
 * @param {string} addon.library the folder of libtensorflow.so
 * @param {string} addon.rpath that folder as seen from the addon
 * @param {string} addon.output
 * @param {string} addon.version of what it is compiled against
 * @param {{ cache: string, scratch: string }} places
 * @returns {Promise<{ cached: string, fresh: boolean }>} the file in the cache, and whether it was compiled now
 */
export async function compileAddon(addon, { cache, scratch }) {
  const given = [...flags, `-DNODE_GYP_MODULE_NAME=${addon.name}`, `-Wl,-rpath,${addon.rpath}`];
  const texts = [...addon.sources, ...addon.headers].map((file) =>
    fs.readFileSync(path.join(addon.folder, file), 'utf8'),
  );
  const key = sha256(JSON.stringify([process.platform, process.arch, addon.version, given, texts])).slice(0, 16);
  const cached = path.join(cache, 'addons', `${addon.name}-${key}.node`);
  const fresh = !fs.existsSync(cached);
  if (fresh) {
    const compiler = await findCompiler();
    say(`Compiling ${addon.name} ...`);
    fs.mkdirSync(path.dirname(cached), { recursive: true });
    const part = path.join(scratch, `${addon.name}.node`);
    const includes = ['.', ...addon.includes].map((folder) => `-I${folder}`);
    // --as-needed: an addon that uses no function of TensorFlow's does not load it.
    const libraries = [`-L${addon.library}`, '-Wl,--as-needed', '-ltensorflow', '-ltensorflow_framework'];
    const args = [...compiler.slice(1), ...given, ...includes, ...addon.sources, ...libraries, '-o', part];
    const { ok, stderr } = await run(compiler[0], args, { cwd: addon.folder, env: { TMPDIR: scratch } });
    if (!ok) {
      if (saysDiskFull(stderr)) throw diskFullError(cache);
      throw new SetupError('environment', `${compiler.join(' ')} could not compile ${addon.name}:`, [
        ...compilerErrors(stderr),
        'A compiler for C++17 is needed: g++ 8 or clang 7, or newer. Another one: CXX=... npm run setup',
      ]);
    }
    fs.renameSync(part, cached);
  }
  fs.mkdirSync(path.dirname(addon.output), { recursive: true });
  copyWhole(cached, addon.output);
  return { cached, fresh };
}

/** compileAddon, then `load` as the proof; a cached addon that does not load here is compiled afresh once. */
export async function compileAndLoad(addon, places, load) {
  const { cached, fresh } = await compileAddon(addon, places);
  const problem = await load(addon.output);
  if (problem === undefined) return;
  remove(cached);
  remove(addon.output);
  if (fresh) throw problem;
  await compileAndLoad(addon, places, load);
}
