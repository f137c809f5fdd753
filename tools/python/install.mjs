// Makes .venv in the repository's root: the Python that the interop tests and the bench compare with.
// Plain Node without packages, like tools/setup.mjs. Nothing to do where requirements.txt is as it was.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { SetupError, diskFullError, explain, saysDiskFull } from '../setup/errors.mjs';
import { folderBytes, readText, requireSpace, sha256, writeWhole } from '../setup/files.mjs';
import { withLock } from '../setup/lock.mjs';
import { megabytes, say, withProgress } from '../setup/output.mjs';
import { interruptible, run } from '../setup/processes.mjs';
import { meaningfulLines } from '../setup/python.mjs';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const requirements = path.join(root, 'tools', 'python', 'requirements.txt');
const venv = path.join(root, '.venv');
const stamp = path.join(venv, '.t4-requirements');
const python = path.join(venv, 'bin', 'python');
const expectedBytes = 4.5e9; // PyTorch and TensorFlow for the CPU, and what pip unpacks on the way

/** The stamp while pip is at work: what a killed pip leaves is not built upon, but made anew. */
const unfinished = 'unfinished';

const requirementsHash = () => sha256(readText(requirements) ?? '');

const inPlace = () => fs.existsSync(python) && readText(stamp) === requirementsHash();

/** The pinned packages are built for Python 3.11. */
async function findPython() {
  const candidates = process.env.PYTHON ? [process.env.PYTHON] : ['python3.11', 'python3'];
  const found = [];
  for (const candidate of candidates) {
    const { ok, stdout } = await run(candidate, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])']);
    if (!ok) continue;
    const version = stdout.trim();
    if (version === '3.11') return candidate;
    found.push(`${candidate} is ${version}`);
  }
  const got = found.length > 0 ? found.join(', ') : `none of ${candidates.join(', ')} runs`;
  throw new SetupError('environment', `the reference environment needs Python 3.11: ${got}.`, [
    'Name one: PYTHON=/path/to/python3.11 npm run interop',
    'Or name one that has the packages of tools/python/requirements.txt already: T4_PYTHON=/path/to/python',
  ]);
}

async function makeVenv(base) {
  const { ok, stdout, stderr } = await run(base, ['-m', 'venv', '--clear', venv]);
  if (ok) return;
  if (saysDiskFull(stderr)) throw diskFullError(venv);
  throw new SetupError('environment', `${base} -m venv failed:`, [
    ...meaningfulLines(`${stdout}\n${stderr}`),
    'Debian, Ubuntu:  sudo apt-get install python3-venv',
  ]);
}

async function installRequirements() {
  const quiet = ['--quiet', '--no-input', '--disable-pip-version-check'];
  // seqeval is published as source with an old setup.py, which only an isolated build gets all that it needs for.
  const args = ['-m', 'pip', 'install', ...quiet, '--use-pep517', '-r', requirements];
  const { ok, stderr } = await withProgress(
    () => `${megabytes(folderBytes(venv))} installed`,
    () => run(python, args),
  );
  if (ok) return;
  if (saysDiskFull(stderr)) throw diskFullError(venv);
  throw new SetupError('environment', 'pip could not install tools/python/requirements.txt:', [
    ...meaningfulLines(stderr),
    'Check the network and the proxy settings (pip obeys HTTPS_PROXY and its own configuration), then run again.',
  ]);
}

async function install() {
  const hash = requirementsHash();
  say('Installing the Python packages that t4 is compared with (.venv) ...');
  const before = fs.existsSync(python) ? readText(stamp) : undefined;
  if (before === undefined || before === unfinished) {
    requireSpace(root, expectedBytes, 'the Python packages');
    await makeVenv(await findPython());
  }
  writeWhole(stamp, unfinished);
  await installRequirements();
  writeWhole(stamp, hash);
}

async function main() {
  if (process.env.T4_PYTHON) {
    say(`T4_PYTHON is set: ${process.env.T4_PYTHON} is used, nothing is installed.`);
    return 0;
  }
  if (inPlace()) return 0;
  try {
    // The lock lies in this checkout, so that another one's set-up need not wait for these minutes.
    const locks = path.join(root, 'node_modules', '.t4-python');
    await interruptible(() => withLock(locks, async () => void (inPlace() || (await install()))));
    return 0;
  } catch (error) {
    const { lines, exitCode } = explain(error);
    process.stderr.write(`t4 python: ${lines.join('\n  ')}\n`);
    return exitCode;
  }
}

process.exitCode = await main();
