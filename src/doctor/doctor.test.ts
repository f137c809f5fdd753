import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { doctorText } from '../commands/doctor.js';
import { UserError } from '../errors.js';
import { type Finished, runProgram } from './check.js';
import { describeGpu } from './gpu.js';
import { checkCpu, checkDemoModel, checkDisk, checkMemory, checkNode } from './machine.js';
import { checkNative, missingLibraries, type NativeState, readLoad } from './native.js';

const ended = (run: Partial<Finished>): Finished => ({
  code: 0,
  signal: null,
  failure: undefined,
  stdout: '',
  stderr: '',
  ...run,
});

const state = (native: Partial<NativeState>): NativeState => ({
  checks: [],
  stamp: undefined,
  usesGpu: false,
  missing: [],
  ...native,
});
const gpuStamp = { tensorflow: '2.21.0', variant: 'gpu', library: '/lib' } as const;

describe('doctor: native library', () => {
  it('names the library that the dynamic loader misses', () => {
    const stderr =
      'Error: libcudart.so.12: cannot open shared object file: No such file or directory\n' +
      "W0000 Could not load dynamic library 'libcudnn.so.9'; dlerror: libcudnn.so.9: cannot open shared object file\n";
    expect(missingLibraries(stderr)).to.deep.equal(['libcudart.so.12', 'libcudnn.so.9']);
    const { check } = readLoad(ended({ code: 1, stderr }));
    expect(check).to.include({ status: 'fail', detail: 'missing: libcudart.so.12, libcudnn.so.9' });
    expect(check.fix).to.contain('--gpu');
    const other = readLoad(
      ended({ code: 1, stderr: 'Error: libstdc++.so.6: cannot open shared object file: x' }),
    ).check;
    expect(other).to.include({ detail: 'missing: libstdc++.so.6', fix: 'npm run setup' });
  });

  it('tells apart the ways in which the binding does not load', () => {
    expect(readLoad(ended({ code: null, signal: 'SIGILL' })).check.detail).to.contain('AVX');
    expect(readLoad(ended({ code: null, signal: 'SIGSEGV' })).check.detail).to.equal('ended by SIGSEGV');
    const old = "Error: /lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by x.node)";
    expect(readLoad(ended({ code: 1, stderr: old })).check.detail).to.contain('GLIBCXX_3.4.32');
    const good = readLoad(ended({ stdout: '{"version":"2.21.0","usesGpu":false}' }));
    expect(good).to.deep.include({ usesGpu: false, missing: [] });
    expect(good.check).to.include({ status: 'ok', detail: 'loads TensorFlow 2.21.0' });
  });

  it('loads the binding in another process, so that a bad one is only reported', async () => {
    const folder = mkdtempSync(join(tmpdir(), 't4-doctor-'));
    const places = { binding: join(folder, 'b.node'), stamp: join(folder, 's.json'), library: join(folder, 'l.so') };
    const statuses = async () => (await checkNative(places)).checks.map(({ name, status }) => `${name} ${status}`);
    expect(await statuses()).to.deep.equal(['Native library fail', 'Binding fail']);
    writeFileSync(places.library, '');
    writeFileSync(places.binding, 'this is no addon');
    expect(await statuses()).to.deep.equal(['Native library warn', 'Binding fail']);
    writeFileSync(places.stamp, JSON.stringify(gpuStamp));
    const found = await checkNative(places);
    expect(found.stamp).to.deep.equal(gpuStamp);
    expect(found.checks[0]).to.include({ status: 'ok', detail: 'TensorFlow 2.21.0, gpu, /lib' });
    writeFileSync(places.stamp, '{"tens');
    expect((await checkNative(places)).stamp).to.equal(undefined);
    rmSync(folder, { recursive: true });
  });
});

describe('doctor: GPU', () => {
  const answer = ended({ stdout: 'NVIDIA H200, 550.54.15, 143771 MiB, 143000 MiB\n' });

  it('takes a machine without one as it is, unless the GPU library was asked for', async () => {
    const absent = await runProgram('t4-no-such-program', []);
    expect(absent.failure).to.equal('ENOENT');
    expect(describeGpu(absent, state({}))).to.include({
      status: 'ok',
      detail: 'none (nvidia-smi is not installed): computing on the CPU',
    });
    expect(describeGpu(absent, state({ stamp: gpuStamp })).status).to.equal('warn');
    const broken = ended({
      code: 9,
      stdout: "NVIDIA-SMI has failed because it couldn't communicate with the driver.\n",
    });
    expect(describeGpu(broken, state({})).detail).to.contain("couldn't communicate with the driver");
  });

  it('says whether the GPU is used, and why not', () => {
    const used = describeGpu(answer, state({ stamp: gpuStamp, usesGpu: true }));
    expect(used.status).to.equal('ok');
    expect(used.detail).to.equal('NVIDIA H200, driver 550.54.15, 143000 MiB free of 143771 MiB');
    expect(describeGpu(answer, state({})).fix).to.equal('npm run setup -- --gpu');
    const missing = describeGpu(answer, state({ stamp: gpuStamp, missing: ['libcudnn.so.9'] }));
    expect(missing.detail).to.contain('missing: libcudnn.so.9');
  });
});

describe('doctor: machine', () => {
  it('wants the Node of package.json', () => {
    for (const good of ['20.19.0', '20.20.2', '22.0.0', '24.1.0']) expect(checkNode(good).status, good).to.equal('ok');
    for (const bad of ['18.20.0', '20.18.3']) expect(checkNode(bad).status, bad).to.equal('fail');
  });

  it('reads the instructions that matter from /proc/cpuinfo', () => {
    const cpuinfo = (flags: string) => `processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu sse2 ${flags}\n`;
    const modern = checkCpu(cpuinfo('avx avx2 fma avx512f avx512_bf16 amx_bf16'), 'x64');
    expect(modern.status).to.equal('ok');
    expect(modern.detail).to.match(/^Some CPU, \d+ usable cores?; avx2 fma avx512f avx512_bf16 amx_bf16; bf16 fast$/);
    expect(checkCpu(cpuinfo('avx avx2'), 'x64').detail).to.contain('bf16 slow');
    expect(checkCpu(cpuinfo('avx'), 'x64').status).to.equal('warn');
    expect(checkCpu(cpuinfo(''), 'x64').status).to.equal('fail');
    expect(checkCpu('Features\t: fp asimd bf16\n', 'arm64')).to.include({ status: 'ok' });
    expect(checkCpu('', 'x64').status).to.equal('ok');
  });

  it('warns of little memory and little disk', () => {
    expect(checkMemory(8 * 1024 ** 3, 16 * 1024 ** 3)).to.include({ status: 'ok', detail: '8.0 GiB free of 16.0 GiB' });
    expect(checkMemory(1024 ** 3, 2 * 1024 ** 3).status).to.equal('warn');
    const folder = mkdtempSync(join(tmpdir(), 't4-disk-'));
    mkdirSync(join(folder, 'there'));
    expect(checkDisk('Disk', join(folder, 'there', 'not', 'yet'), 1).status).to.equal('ok');
    expect(checkDisk('Disk', folder, Infinity).status).to.equal('warn');
    rmSync(folder, { recursive: true });
  });

  it('says how to get the demo model', () => {
    const absent = () => {
      throw new UserError('environment', 'not there');
    };
    expect(checkDemoModel(absent)).to.include({ status: 'warn', fix: 'npm run setup' });
    expect(checkDemoModel(() => '/cache/model')).to.include({ status: 'ok', detail: '/cache/model' });
  });

  it('prints a line a check, and what to do under it', () => {
    const text = doctorText(
      [
        { name: 'Node', status: 'ok', detail: '22.0.0' },
        { name: 'Binding', status: 'fail', detail: 'missing: libcudart.so.12', fix: 'npm run setup' },
      ],
      false,
    );
    expect(text.split('\n')).to.deep.equal([
      'ok    Node     22.0.0',
      'fail  Binding  missing: libcudart.so.12',
      '               -> npm run setup',
      '',
      't4 cannot train or test here yet: see the lines marked fail.',
    ]);
  });
});
