import { z } from 'zod';
import { nodeCommand, Worker } from './child.js';
import type { BenchOptions } from './options.js';

export interface MemoryResult {
  /** Steps done and resident bytes then. */
  readonly samples: readonly { readonly step: number; readonly bytes: number }[];
  /** Between the first sample and the last. */
  readonly growthBytes: number;
}

const interval = 100;

/** Resident memory of t4 over many steps of changing shapes. */
export async function benchMemory(
  { device, memorySteps }: BenchOptions,
  say: (text: string) => void,
): Promise<MemoryResult> {
  say(`memory: ${memorySteps} steps`);
  const worker = new Worker(nodeCommand('t4-memory.js', {}), device);
  const samples: { step: number; bytes: number }[] = [];
  for (let step = interval; step <= memorySteps; step += interval) {
    const { bytes } = await worker.ask({ steps: interval }, z.object({ bytes: z.number() }));
    samples.push({ step, bytes });
  }
  await worker.end();
  return { samples, growthBytes: (samples.at(-1)?.bytes ?? 0) - (samples[0]?.bytes ?? 0) };
}
