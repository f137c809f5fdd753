import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { createRandom } from '../../src/data/random.js';
import { nodeCommand, pythonCommand, runToEnd, Worker, type Command } from './child.js';
import { bertBase } from './flops.js';
import { writeRandomBert } from './random-bert.js';
import type { BenchOptions } from './options.js';
import { median, rangeOfRatios } from './statistics.js';

/** ONNX Runtime takes the model as PyTorch exports it, or as its own optimizer for transformers rewrites it. */
export const inferenceSides = ['t4 fp32', 't4 bf16', 'ONNX exported', 'ONNX optimized'] as const;
export type InferenceSide = (typeof inferenceSides)[number];

export interface InferenceTimes {
  readonly side: InferenceSide;
  readonly medianSeconds: number;
  /** Over the faster one of ONNX Runtime's. */
  readonly ratio: number;
  /** Smallest and largest ratio of the medians of a round. */
  readonly ratioRange: readonly [number, number];
  /** The largest difference of a logit from that of the exported model. */
  readonly largestDifference: number;
}

export interface InferenceCase {
  readonly batch: number;
  readonly length: number;
  readonly times: readonly InferenceTimes[];
}

export interface InferenceResult {
  readonly cases: readonly InferenceCase[];
  readonly peakBytes: Readonly<Record<InferenceSide, number>>;
}

type Workers = readonly { readonly side: InferenceSide; readonly worker: Worker }[];

/**
 * Classification with BERT-base, t4's program of `t4 predict` beside ONNX Runtime: a batch, and one sentence of 32 tokens.
 * Equal random weights on all sides, which stay loaded and take turns. On the CPU: ONNX Runtime is installed for it.
 */
export async function benchInference(
  { batch, length, steps, rounds }: BenchOptions,
  say: (text: string) => void,
): Promise<InferenceResult> {
  const folder = mkdtempSync(join(tmpdir(), 't4-bench-'));
  const workers: { side: InferenceSide; worker: Worker }[] = [];
  try {
    for (const [side, command] of await makeModels(folder, say)) {
      say(`inference: starting ${side}`);
      const worker = new Worker(command, 'cpu');
      workers.push({ side, worker });
      await worker.read(z.object({}));
    }
    const cases = [
      await measure(workers, { batch, length, runs: steps, rounds }, say),
      // Short ones: more of them, for a median that means something.
      await measure(workers, { batch: 1, length: 32, runs: 20 * steps, rounds }, say),
    ];
    const peaks = workers.map(({ side, worker }) => [side, worker.peakBytes()]);
    return { cases, peakBytes: Object.fromEntries(peaks) as Record<InferenceSide, number> };
  } finally {
    await Promise.all(workers.map(({ worker }) => worker.end()));
    rmSync(folder, { recursive: true });
  }
}

async function makeModels(folder: string, say: (text: string) => void): Promise<[InferenceSide, Command][]> {
  say('inference: making the models');
  writeRandomBert(folder, 'classifier');
  const [exported, optimized] = [join(folder, 'exported.onnx'), join(folder, 'optimized.onnx')];
  const { heads, hidden } = bertBase;
  await runToEnd(pythonCommand('export_onnx.py', { model: folder, exported, optimized, heads, hidden }), 'cpu');
  const t4 = (precision: string): Command => nodeCommand('t4-inference.js', { model: folder, precision });
  const onnx = (model: string): Command =>
    pythonCommand('onnx_inference.py', { model, threads: availableParallelism() });
  return [
    ['t4 fp32', t4('fp32')],
    ['t4 bf16', t4('bf16')],
    ['ONNX exported', onnx(exported)],
    ['ONNX optimized', onnx(optimized)],
  ];
}

const answerSchema = z.object({ seconds: z.array(z.number()), logits: z.array(z.number()) });

interface Plan {
  readonly batch: number;
  readonly length: number;
  readonly runs: number;
  readonly rounds: number;
}

async function measure(
  workers: Workers,
  { batch, length, runs, rounds }: Plan,
  say: (text: string) => void,
): Promise<InferenceCase> {
  const random = createRandom(1);
  const text = (): number[] => Array.from({ length }, () => 1 + random(bertBase.vocabulary - 1));
  const inputIds = Array.from({ length: batch }, text);
  const logits = new Map<InferenceSide, readonly number[]>();
  const seconds = new Map<InferenceSide, number[][]>();
  for (const { side, worker } of workers) {
    const warm = await worker.ask({ inputIds, runs: 2 }, answerSchema);
    if (warm.logits.length !== batch * bertBase.labels || !warm.logits.every(Number.isFinite)) {
      throw new Error(`${side} does not answer with ${bertBase.labels} finite logits a text`);
    }
    logits.set(side, warm.logits);
    seconds.set(side, []);
  }
  for (let round = 1; round <= rounds; round++) {
    say(`inference, ${batch} x ${length}: round ${round} of ${rounds}`);
    for (const { side, worker } of workers) {
      seconds.get(side)!.push((await worker.ask({ inputIds, runs }, answerSchema)).seconds);
    }
  }
  const medianOf = (side: InferenceSide): number => median(seconds.get(side)!.flat());
  const faster = medianOf('ONNX exported') <= medianOf('ONNX optimized') ? 'ONNX exported' : 'ONNX optimized';
  const expected = logits.get('ONNX exported')!;
  const times = workers.map(({ side }) => ({
    side,
    medianSeconds: medianOf(side),
    ratio: medianOf(side) / medianOf(faster),
    ratioRange: rangeOfRatios(seconds.get(side)!, seconds.get(faster)!),
    largestDifference: Math.max(...logits.get(side)!.map((value, i) => Math.abs(value - expected[i]!))),
  }));
  return { batch, length, times };
}
