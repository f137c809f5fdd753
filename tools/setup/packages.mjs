// Step 2: node_modules is what package-lock.json says.
import fs from 'node:fs';
import path from 'node:path';
import { SetupError, diskFullError, saysDiskFull } from './errors.mjs';
import { readJson, readText, remove, requireSpace, sha256, writeWhole } from './files.mjs';
import { say } from './output.mjs';
import { run } from './processes.mjs';

const expectedBytes = 450e6; // what node_modules takes

function stampOf(root) {
  return path.join(root, 'node_modules', '.t4-lock');
}

export function lockHash(root) {
  return sha256(readText(path.join(root, 'package-lock.json')) ?? '');
}

/** An installation that someone made by hand (`npm ci`, `npm install`) is as good as ours. */
function installedByHand(root) {
  const wanted = readJson(path.join(root, 'package-lock.json'))?.packages;
  const installed = readJson(path.join(root, 'node_modules', '.package-lock.json'))?.packages;
  if (wanted === undefined || installed === undefined) return false;
  return Object.entries(wanted).every(([name, { version, optional, link }]) => {
    if (name === '' || optional || link) return true; // the root itself; packages of other platforms
    return installed[name]?.version === version && fs.existsSync(path.join(root, name, 'package.json'));
  });
}

export function packagesInPlace(root) {
  if (!fs.existsSync(path.join(root, 'package-lock.json'))) return true; // installed as a package: npm saw to it
  const hash = lockHash(root);
  if (readText(stampOf(root)) === hash) return true;
  if (!installedByHand(root)) return false;
  writeWhole(stampOf(root), hash);
  return true;
}

/** npm on the PATH, or the one that lies beside the running Node. */
async function findNpm() {
  const candidates = ['npm', path.join(path.dirname(process.execPath), 'npm')];
  for (const npm of candidates) if ((await run(npm, ['--version'])).ok) return npm;
  throw new SetupError('environment', 'npm was not found.', [
    'It installs the JavaScript packages that t4 needs (package-lock.json). It comes with Node.js, or as a package:',
    'Debian, Ubuntu:  sudo apt-get install npm',
    'Fedora:          sudo dnf install nodejs-npm',
    'macOS:           brew install node',
  ]);
}

export async function installPackages(root, scratch) {
  const npm = await findNpm();
  const modules = path.join(root, 'node_modules');
  requireSpace(root, expectedBytes, 'the JavaScript packages');
  say('Installing the JavaScript packages (npm ci) ...');
  // npm empties node_modules first, in no particular order: killed there, these two must not vouch for the rest.
  remove(stampOf(root));
  remove(path.join(modules, '.package-lock.json'));
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const { ok, stderr, stdout } = await run(npm, args, { cwd: root, env: { TMPDIR: scratch } });
  if (!ok) {
    if (saysDiskFull(stderr)) throw diskFullError(modules);
    const said = `${stderr}\n${stdout}`
      .split('\n')
      .map((line) => line.replace(/^npm (error|ERR!) ?/, '').trim())
      .filter(
        (line) =>
          line !== '' &&
          !/complete log of this run|_logs|^(at|code|errno|syscall|address|port|type)\b|^\W+$/.test(line),
      );
    throw new SetupError('environment', 'npm could not install the JavaScript packages:', [
      ...said.slice(0, 6),
      'Check the network and the proxy settings (npm obeys HTTPS_PROXY and its own configuration), then run again.',
    ]);
  }
  writeWhole(stampOf(root), lockHash(root));
}
