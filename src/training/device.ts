import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { UserError } from '../errors.js';

export type DeviceChoice = 'auto' | 'cpu' | 'gpu';

export interface Device {
  readonly kind: 'cpu' | 'gpu';
  /** One line for the user. */
  readonly description: string;
}

/** Call before the engine is imported: TensorFlow looks for GPUs when it is loaded. */
export function restrictDevice(choice: DeviceChoice): void {
  if (choice === 'cpu') process.env.CUDA_VISIBLE_DEVICES = '-1';
}

/** What TensorFlow took. Throws UserError 'environment' where a GPU was asked for and there is none. */
export function deviceInUse(choice: DeviceChoice, isUsingGpu: boolean): Device {
  if (isUsingGpu) return { kind: 'gpu', description: 'GPU' };
  if (choice === 'gpu') {
    throw new UserError(
      'environment',
      '--device gpu: TensorFlow found no GPU',
      't4 doctor says what is missing; npm run setup -- --gpu installs the GPU library.',
    );
  }
  const model = cpus()[0]?.model ?? 'unknown model';
  return { kind: 'cpu', description: `CPU (${model}, ${cpus().length} cores)` };
}

/** Whether the processor multiplies bfloat16 in hardware (Linux on x86). */
function hasBfloat16Products(): boolean {
  try {
    return /\b(avx512_bf16|amx_bf16)\b/.test(readFileSync('/proc/cpuinfo', 'utf8'));
  } catch {
    return false;
  }
}

/**
 * `auto` is bf16 where the device multiplies it in hardware: every GPU that TensorFlow 2.21 supports, and processors with
 * AVX512-BF16 or AMX. Elsewhere bf16 would be slower than fp32.
 */
export function resolvePrecision(setting: 'auto' | 'fp32' | 'bf16', device: Device): 'fp32' | 'bf16' {
  if (setting !== 'auto') return setting;
  return device.kind === 'gpu' || hasBfloat16Products() ? 'bf16' : 'fp32';
}
