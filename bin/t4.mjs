#!/usr/bin/env node
import fs from 'node:fs';
import { nodeVersionProblem } from './node-version.mjs';

/**
 * Commands that compute nothing: they need the packages and the build, and work where the native library is missing.
 * `doctor` says what is missing, so it must not ask for it first.
 */
const withoutNativeLibrary = new Set(['config', 'data', 'inspect', 'completion', 'init', 'doctor']);

const environmentMissing = 4; // src/errors.ts, which may not be built yet

/** @param {string[]} argv */
function needsNativeLibrary(argv) {
  const command = argv.find((arg) => !arg.startsWith('-'));
  if (command === undefined || withoutNativeLibrary.has(command)) return false;
  // Converting computes nothing; comparing the two models does.
  if (command === 'convert' && !argv.some((arg) => arg.startsWith('--verify'))) return false;
  return !argv.some(
    (arg) => arg === '--help' || arg === '-h' || arg === '--version' || arg.startsWith('--get-yargs-completions'),
  );
}

/** Makes this checkout ready; cheap when it is. Returns an exit code. @param {string[]} argv */
async function prepare(argv) {
  const root = new URL('../', import.meta.url);
  if (fs.existsSync(new URL('tools/setup/main.mjs', root))) {
    const { setUpOrExplain } = await import('../tools/setup/main.mjs');
    const { fileURLToPath } = await import('node:url');
    const { exitCode } = await setUpOrExplain({ root: fileURLToPath(root), native: needsNativeLibrary(argv) });
    return exitCode;
  }
  if (fs.existsSync(new URL('dist/src/cli.js', root))) return 0;
  process.stderr.write(
    't4: this installation is incomplete: it has neither dist/ (the program) nor tools/ (which builds it).\n' +
      '  Install t4 again, or use a checkout of its repository, where `npm run setup` builds it.\n',
  );
  return environmentMissing;
}

async function start() {
  const tooOld = nodeVersionProblem();
  if (tooOld !== undefined) {
    process.stderr.write(`${tooOld}\n`);
    return environmentMissing;
  }
  process.setSourceMapsEnabled(true);
  const argv = process.argv.slice(2);
  const exitCode = await prepare(argv);
  if (exitCode !== 0) return exitCode;
  const { main } = await import('../dist/src/cli.js');
  return main(argv);
}

process.exitCode = await start();
