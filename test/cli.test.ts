import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { main } from '../src/cli.js';

interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

class Sink extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

/** One command line, in this process. */
async function t4(...argv: string[]): Promise<Ran> {
  const stdout = new Sink();
  const stderr = new Sink();
  const code = await main(argv, { stdout, stderr, env: {}, now: () => 0 });
  return { code, stdout: stdout.text, stderr: stderr.text };
}

/** The command line in a process of its own, through a shell so that it can be piped. */
function inShell(rest: string): { status: number | null; stdout: string; stderr: string } {
  const cli = fileURLToPath(new URL('../src/cli.js', import.meta.url));
  const script = `const { main } = await import(${JSON.stringify(cli)}); process.exitCode = await main(process.argv.slice(1));`;
  const command = `set -o pipefail; "${process.execPath}" --input-type=module -e "$SCRIPT" -- ${rest}`;
  return spawnSync('bash', ['-c', command], { encoding: 'utf8', env: { ...process.env, SCRIPT: script } });
}

describe('command line', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-cli-'));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('prints help and version to stdout', async () => {
    const help = await t4('--help');
    expect(help).to.include({ code: 0, stderr: '' });
    for (const command of ['finetune', 'test', 'predict', 'config', 'doctor'])
      expect(help.stdout).to.contain(`t4 ${command}`);
    const version = await t4('--version');
    expect(version).to.include({ code: 0, stderr: '' });
    expect(version.stdout).to.match(/^\d+\.\d+\.\d+\n$/);
  });

  it('describes every flag of every command, with its default', async () => {
    for (const command of [['finetune'], ['test'], ['predict'], ['config', 'show'], ['config', 'schema'], ['doctor']]) {
      const { code, stdout } = await t4(...command, '--help');
      expect(code).to.equal(0);
      const options = stdout
        .slice(stdout.indexOf('Options:'), stdout.indexOf('Examples:'))
        .split(/\n(?= +(?:-\w, )?--)/);
      for (const option of options.slice(1)) {
        if (/--(help|version|task|checkpoint) /.test(option)) continue;
        expect(option.replace(/\s+/g, ' '), option).to.match(/default:/);
      }
    }
  });

  it('without a command prints help to stderr and fails', async () => {
    const ran = await t4();
    expect(ran).to.include({ code: 2, stdout: '' });
    expect(ran.stderr).to.contain('Commands:');
  });

  const refused: [string[], string][] = [
    [['fintune'], 'unknown command fintune (did you mean finetune?)'],
    [['config'], 't4 config what? expected show or schema'],
    [['config', 'shwo'], 'unknown command config shwo, expected show or schema (did you mean show?)'],
    [['finetune'], '--task is missing'],
    [['finetune', '--taks', 'demo'], 'unknown flag --taks (did you mean --task?)'],
    [['finetune', '--training.epochs=2'], 'unknown flag --training.epochs'],
    [['finetune', '--task'], '--task needs a value'],
    [['finetune', '--task='], '--task needs a value'],
    [['finetune', '--task', 'a', '--task', 'b'], '--task is given 2 times, expected once'],
    [['finetune', '--task', 'demo', 'more'], 'unexpected more'],
    [['finetune', '--task', 'demo', '--device', 'cuda'], '--device: got "cuda", expected one of "auto", "cpu", "gpu"'],
    [['finetune', '--task', 'demo', '--keep', 'all'], '--keep: expected a number'],
    [['finetune', '--task', 'demo', '--json=maybe'], '--json: got maybe, expected no value'],
    [['finetune', '--task', 'demo', '--resume'], '--resume needs --output RUN'],
    [['test'], '--checkpoint is missing'],
    [['predict'], '--checkpoint is missing'],
    [['test', '--checkpoint', 'x', '--split', 'tset'], '--split: got "tset"'],
    [['config', 'show', '--task', 'sst2'], 'unknown task sst2 (did you mean sst-2?)'],
    [['config', 'show', '--task', 'demo', '--data', '/nowhere'], '--data: got /nowhere, expected an existing folder'],
    [['doctor', '-x'], 'unknown flag -x'],
  ];
  for (const [argv, message] of refused) {
    it(`refuses: t4 ${argv.join(' ')}`, async () => {
      const ran = await t4(...argv);
      expect(ran).to.include({ code: 2, stdout: '' });
      expect(ran.stderr.startsWith(`t4: ${message}`), ran.stderr).to.be.true;
      expect(ran.stderr).not.to.contain('    at ');
    });
  }

  it('shows a task with its defaults as YAML or JSON', async () => {
    const yaml = await t4('config', 'show', '--task', 'sst-2', '--set', 'training.epochs=1');
    expect(yaml).to.include({ code: 0, stderr: '' });
    expect(yaml.stdout).to.contain('  epochs: 1\n').and.to.contain('  weight_decay: 0.01\n');
    const json = await t4('config', 'show', '--task', 'sst-2', '--set', 'training.epochs=1', '--json');
    expect(JSON.parse(json.stdout)).to.have.nested.property('training.epochs', 1);
  });

  it('shows a task file again unchanged', async () => {
    const first = await t4('config', 'show', '--task', 'chnsenticorp');
    const file = join(folder, 'again.yaml');
    writeFileSync(file, first.stdout);
    expect((await t4('config', 'show', '--task', file)).stdout).to.equal(first.stdout);
  });

  it('reports every problem of a task at once, on stderr', async () => {
    const file = join(folder, 'bad.yaml');
    writeFileSync(file, 'task: nerr\ndata: { train: 3 }\nmodell: {}\n');
    const ran = await t4('config', 'show', '--task', file, '--set', 'training.epochs=abc', '--json');
    expect(ran).to.include({ code: 2, stdout: '' });
    const lines = ran.stderr.replaceAll(`${folder}/`, '').split('\n');
    expect(lines[0]).to.equal('t4: 5 problems in the task:');
    for (const start of [
      'bad.yaml:1:7: task: got "nerr"',
      'bad.yaml:2:16: data.train: got 3',
      'bad.yaml:3:1: modell: unknown key (did you mean model?)',
      'bad.yaml:1:1: model: missing',
      '--set training.epochs=abc: got "abc", expected a whole number, at least 1',
    ]) {
      expect(
        lines.some((line) => line.startsWith(start)),
        `${start}\n${ran.stderr}`,
      ).to.be.true;
    }
  });

  it('prints the JSON Schema of task files', async () => {
    const { code, stdout } = await t4('config', 'schema');
    expect(code).to.equal(0);
    expect(JSON.parse(stdout)).to.have.nested.property('properties.training.properties.epochs.default', 3);
  });

  it('reports what the system refuses without a stack, as a matter of files', async () => {
    const stderr = new Sink();
    const full = new Writable();
    full.write = () => {
      const facts = { code: 'ENOSPC', syscall: 'write' };
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), facts);
    };
    const code = await main(['config', 'schema'], { stdout: full, stderr, env: {}, now: () => 0 });
    expect(code).to.equal(7);
    expect(stderr.text).to.equal(
      't4: ENOSPC: no space left on device, write\n    The disk is full: make room, or choose another --output.\n',
    );
  });

  it('keeps the stack of a bug and says how to report it', async () => {
    const stderr = new Sink();
    const broken = new Writable();
    broken.write = () => {
      throw new TypeError('boom');
    };
    const code = await main(['config', 'schema'], { stdout: broken, stderr, env: {}, now: () => 0 });
    expect(code).to.equal(1);
    expect(stderr.text).to.match(/^TypeError: boom\n {4}at /);
    expect(stderr.text).to.contain('this is a bug in t4').and.to.contain('t4 doctor --json');
  });

  it('ends quietly when nobody reads its results', () => {
    const ran = inShell('config schema | { exec 0<&-; sleep 0.5; }');
    expect(ran).to.include({ status: 0, stderr: '' });
  });

  it('prints help without loading the native library or the reporter', () => {
    const cli = fileURLToPath(new URL('../src/cli.js', import.meta.url));
    const script =
      `const { main } = await import(${JSON.stringify(cli)}); await main(['--help']);` +
      `console.error(process.report.getReport().sharedObjects.filter((name) => /tensorflow|\\.node$/.test(name)).join());`;
    const began = performance.now();
    const ran = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(ran.stderr.trim()).to.equal('');
    expect(ran.stdout).to.contain('t4 finetune');
    // 0.4 s by itself; the tests of a loaded machine get more.
    expect(performance.now() - began).to.be.below(2000);
  });
});
