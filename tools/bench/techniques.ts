import { nodeCommand } from './child.js';
import { accumulatedBatches, type Lever } from './levers.js';
import type { BenchOptions, Precision } from './options.js';
import { median, rangeOfRatios } from './statistics.js';
import { SideRun } from './step.js';

export interface LeverResult {
  readonly lever: Lever | 'plain';
  readonly medianSeconds: number;
  /** Over the plain step's in the same rounds. */
  readonly ratio: number;
  /** Smallest and largest ratio of the medians of a round. */
  readonly ratioRange: readonly [number, number];
  readonly peakBytes: number;
  readonly peakRatio: number;
}

export interface TechniquesResult {
  readonly precision: Precision;
  /** The plain step first. */
  readonly levers: readonly LeverResult[];
}

/**
 * One training step of BERT-base with each lever alone. A process with the plain step stays loaded and takes turns with
 * that of the lever.
 */
export async function benchTechniques(
  options: BenchOptions,
  precision: Precision,
  say: (text: string) => void,
): Promise<TechniquesResult> {
  say(`techniques, ${precision}: starting the plain step`);
  const plain = startStep('plain', options, precision);
  await plain.warmUp();
  const measured: { lever: Lever; ours: number[][]; theirs: number[][]; peakBytes: number }[] = [];
  for (const lever of options.levers) {
    // It is measured against the plain step in fp32.
    if (lever === 'bf16' && precision === 'bf16') continue;
    say(`techniques, ${precision}: ${lever}`);
    const side = startStep(lever, options, precision);
    await side.warmUp();
    const theirs: number[][] = [];
    for (let round = 1; round <= options.rounds; round++) {
      theirs.push(await plain.round(options.steps));
      await side.round(options.steps);
    }
    const { rounds, peakBytes } = await side.finish();
    const batches = lever === 'accumulation' ? accumulatedBatches : 1;
    measured.push({ lever, ours: rounds.map((times) => times.map((time) => time / batches)), theirs, peakBytes });
  }
  const whole = await plain.finish();
  const levers = measured.map(({ lever, ours, theirs, peakBytes }): LeverResult => {
    const medianSeconds = median(ours.flat());
    return {
      lever,
      medianSeconds,
      ratio: medianSeconds / median(theirs.flat()),
      ratioRange: rangeOfRatios(ours, theirs),
      peakBytes,
      peakRatio: peakBytes / whole.peakBytes,
    };
  });
  const { medianSeconds, peakBytes } = whole;
  return {
    precision,
    levers: [{ lever: 'plain', medianSeconds, ratio: 1, ratioRange: [1, 1], peakBytes, peakRatio: 1 }, ...levers],
  };
}

function startStep(lever: Lever | 'plain', { batch, length, device }: BenchOptions, precision: Precision): SideRun {
  const settings = { precision: lever === 'bf16' ? 'bf16' : precision, batch, length, device, lever };
  const env: Record<string, string> = lever === 'no-fused-ops' ? { T4_FUSED_OPS: '0' } : {};
  return new SideRun({ ...nodeCommand('t4-step.js', settings), env }, device);
}
