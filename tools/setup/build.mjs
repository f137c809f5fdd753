// Step 6: the TypeScript sources compiled into dist.
import fs from 'node:fs';
import path from 'node:path';
import { SetupError, diskFullError, saysDiskFull } from './errors.mjs';
import { fingerprint, readText, remove, removeLeftovers, sha256, writeWhole } from './files.mjs';
import { say } from './output.mjs';
import { lockHash } from './packages.mjs';
import { run } from './processes.mjs';

const sourceFolders = ['src', 'test', 'tools'];

function isCheckout(root) {
  return fs.existsSync(path.join(root, 'tsconfig.json')) && fs.existsSync(path.join(root, 'src'));
}

/** Changes with any source file, the compiler's options and the packages' versions. */
function sourcesHash(root) {
  const sources = fingerprint(root, sourceFolders, (name) => name.endsWith('.ts'));
  return sha256([sources, readText(path.join(root, 'tsconfig.json')), lockHash(root)].join('\n'));
}

function stampIn(folder) {
  return path.join(folder, '.t4-sources');
}

export function buildInPlace(root) {
  const dist = path.join(root, 'dist');
  if (!isCheckout(root)) return fs.existsSync(path.join(dist, 'src', 'cli.js'));
  return readText(stampIn(dist)) === sourcesHash(root);
}

/** What a source that is gone once gave: mocha would go on running it. */
function removeOrphans(root, staging, folder) {
  for (const entry of fs.readdirSync(path.join(staging, folder), { withFileTypes: true })) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) removeOrphans(root, staging, file);
    else if (!fs.existsSync(path.join(root, file.replace(/\.js(\.map)?$/, '.ts')))) remove(path.join(staging, file));
  }
}

/** An unfinished build lies in a folder of another name, and dist is replaced in one go. Only for the lock's holder. */
export async function build(root, scratch) {
  if (!isCheckout(root)) {
    throw new SetupError('environment', 'this installation of t4 has neither dist/ nor the sources to build it from.', [
      'Install it again, or use a checkout of its repository.',
    ]);
  }
  const dist = path.join(root, 'dist');
  removeLeftovers(root, /^\.dist-\d+(-old)?$/);
  // Beside dist and as deep, since the source maps and .tsbuildinfo hold relative paths.
  const staging = path.join(root, `.dist-${process.pid}`);
  const hash = sourcesHash(root); // before the compiler reads them: a later edit is then noticed by the next run
  say('Compiling TypeScript ...');
  try {
    // With the previous build to start from, tsc only checks and writes what has changed.
    if (fs.existsSync(stampIn(dist))) fs.cpSync(dist, staging, { recursive: true });
    else fs.mkdirSync(staging);
    fs.writeFileSync(path.join(staging, '.gitignore'), '*\n'); // for the eyes of git and prettier, while it exists
    await runCompiler(root, staging, scratch);
    for (const folder of sourceFolders) {
      if (fs.existsSync(path.join(staging, folder))) removeOrphans(root, staging, folder);
    }
    remove(path.join(staging, '.gitignore'));
    writeWhole(stampIn(staging), hash);
    if (fs.existsSync(dist)) fs.renameSync(dist, `${staging}-old`);
    fs.renameSync(staging, dist);
  } finally {
    remove(staging);
    remove(`${staging}-old`);
  }
}

async function runCompiler(root, staging, scratch) {
  const compiler = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const args = [
    '-p',
    '.',
    '--outDir',
    staging,
    '--tsBuildInfoFile',
    path.join(staging, '.tsbuildinfo'),
    '--pretty',
    'false',
  ];
  const { ok, stdout, stderr } = await run(process.execPath, [compiler, ...args], {
    cwd: root,
    env: { TMPDIR: scratch },
  });
  if (ok) return;
  const said = `${stdout}\n${stderr}`;
  if (saysDiskFull(said)) throw diskFullError(root);
  const lines = said.split('\n').filter((line) => line.trim() !== '' && !/^\s+at /.test(line));
  const more = lines.length > 20 ? [`... and ${lines.length - 20} more lines: npm run typecheck`] : [];
  throw new SetupError('sources', 'the TypeScript sources do not compile:', [...lines.slice(0, 20), ...more]);
}
