import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { nodeCommand, runToEnd } from './child.js';
import { writeRandomBert } from './random-bert.js';
import { median } from './statistics.js';

const loadSchema = z.object({
  /** Of reading the weights and handing them to TensorFlow. */
  seconds: z.number(),
  /** From the start of the process until the model could compute. */
  sinceStart: z.number(),
  modelBytes: z.number(),
  /** Resident when the graph was loaded and the weights were not, when they were, and at the most. */
  readyBytes: z.number(),
  loadedBytes: z.number(),
  peakBytes: z.number(),
});
export type Load = z.infer<typeof loadSchema>;

export interface LoadResult {
  readonly rounds: readonly Load[];
  readonly medianSeconds: number;
  readonly medianSinceStart: number;
  /** What the weights took at the most, over their size: 1 is no copy at all, 2 a whole second one. */
  readonly copies: number;
}

/** Loads BERT-base from a safetensors file, which the page cache has, in a new process each time. */
export async function benchLoad(rounds: number, say: (text: string) => void): Promise<LoadResult> {
  const folder = mkdtempSync(join(tmpdir(), 't4-bench-'));
  try {
    say('load: making the model');
    writeRandomBert(folder, 'encoder');
    const loads: Load[] = [];
    for (let round = 1; round <= rounds; round++) {
      say(`load: round ${round} of ${rounds}`);
      const { stdout } = await runToEnd(nodeCommand('t4-load.js', { folder }), 'cpu');
      loads.push(loadSchema.parse(JSON.parse(stdout)));
    }
    const copies = loads.map(({ peakBytes, readyBytes, modelBytes }) => (peakBytes - readyBytes) / modelBytes);
    return {
      rounds: loads,
      medianSeconds: median(loads.map(({ seconds }) => seconds)),
      medianSinceStart: median(loads.map(({ sinceStart }) => sinceStart)),
      copies: Math.max(...copies),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
