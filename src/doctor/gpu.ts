import { type Check, type Finished, runProgram } from './check.js';
import type { NativeState } from './native.js';

const name = 'GPU';

export async function checkGpu(native: NativeState): Promise<Check> {
  const query = ['--query-gpu=name,driver_version,memory.total,memory.free', '--format=csv,noheader'];
  return describeGpu(await runProgram('nvidia-smi', query), native);
}

/** What the driver says, and whether the native library can use it. */
export function describeGpu(smi: Finished, native: NativeState): Check {
  const wantsGpu = native.stamp?.variant === 'gpu';
  if (smi.failure !== undefined) {
    const why = smi.failure === 'ENOENT' ? 'nvidia-smi is not installed' : `nvidia-smi: ${smi.failure}`;
    return none(why, wantsGpu);
  }
  if (smi.code !== 0) return none(`nvidia-smi: ${firstLine(smi.stdout, smi.stderr)}`, wantsGpu);
  const gpus = smi.stdout.trim().split('\n').map(describe).join('; ');
  if (native.usesGpu === true) return { name, status: 'ok', detail: gpus };
  if (!wantsGpu) {
    const detail = `${gpus}; not used: the native library is the one for the CPU`;
    return { name, status: 'warn', detail, fix: 'npm run setup -- --gpu' };
  }
  const missing = native.missing.length === 0 ? '' : ` (missing: ${native.missing.join(', ')})`;
  const detail = `${gpus}; not used: TensorFlow does not accept it${missing}`;
  const fix = missing === '' ? 'compare the driver with what CUDA 12 needs (525 or newer)' : 'npm run setup -- --gpu';
  return { name, status: 'warn', detail, fix };
}

/** No GPU is no fault, unless the library for one was asked for. */
function none(why: string, wantsGpu: boolean): Check {
  const detail = `none (${why}): computing on the CPU`;
  if (!wantsGpu) return { name, status: 'ok', detail };
  return { name, status: 'warn', detail, fix: 'install the NVIDIA driver, or: npm run setup -- --cpu' };
}

/** "NVIDIA H200, 550.54.15, 143771 MiB, 143000 MiB" */
function describe(line: string): string {
  const [model, driver, total, free] = line.split(',').map((part) => part.trim());
  return `${model ?? line}, driver ${driver ?? '?'}, ${free ?? '?'} free of ${total ?? '?'}`;
}

function firstLine(...texts: readonly string[]): string {
  const lines = texts.join('\n').split('\n');
  return lines.find((line) => line.trim() !== '')?.trim() ?? 'failed without a word';
}
