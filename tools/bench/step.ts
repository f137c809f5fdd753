import { z } from 'zod';
import { nodeCommand, pythonCommand, Worker } from './child.js';
import { bertBase, torchStepFlops } from './flops.js';
import type { MatmulSpeeds } from './matmul.js';
import type { BenchOptions, Precision } from './options.js';
import { median, rangeOfRatios } from './statistics.js';

const stepsSchema = z.object({ seconds: z.array(z.number()), loss: z.number(), flops: z.number().optional() });

export interface Side {
  /** Of each timed step, by round. */
  readonly rounds: readonly (readonly number[])[];
  readonly medianSeconds: number;
  readonly peakBytes: number;
  /** From the start of the process to the end of the first step. */
  readonly firstStepSeconds: number;
  readonly lastLoss: number;
  /** Of the matrix products of a step, where the side says it. */
  readonly flops: number | undefined;
}

export interface StepResult {
  readonly precision: Precision;
  readonly t4: Side;
  readonly torch: Side;
  /** t4's median step over PyTorch's. */
  readonly ratio: number;
  /** Smallest and largest ratio of the medians of a round. */
  readonly ratioRange: readonly [number, number];
  /** Of the matrix products that each side computes. */
  readonly flops: { readonly t4: number; readonly torch: number };
  /** Time of those products at the machine's measured speed. */
  readonly limitSeconds: { readonly t4: number; readonly torch: number };
  readonly t4ShareOfLimit: number;
  readonly torchShareOfLimit: number;
}

/** A process that makes steps and is timed. */
export class SideRun {
  private readonly worker: Worker;
  private readonly began = performance.now();
  private readonly rounds: number[][] = [];
  private firstStepSeconds = NaN;
  private lastLoss = NaN;
  private flops: number | undefined;

  constructor(command: ConstructorParameters<typeof Worker>[0], device: BenchOptions['device']) {
    this.worker = new Worker(command, device);
  }

  async warmUp(): Promise<void> {
    const { flops } = await this.worker.read(stepsSchema);
    this.flops = flops;
    this.firstStepSeconds = (performance.now() - this.began) / 1000;
    await this.worker.ask({ steps: 2 }, stepsSchema);
  }

  /** @returns the seconds of each step */
  async round(steps: number): Promise<number[]> {
    const { seconds, loss } = await this.worker.ask({ steps }, stepsSchema);
    if (!Number.isFinite(loss)) throw new Error('the loss is not finite: the timing means nothing');
    this.rounds.push(seconds);
    this.lastLoss = loss;
    return seconds;
  }

  async finish(): Promise<Side> {
    const peakBytes = this.worker.peakBytes();
    await this.worker.end();
    const { rounds, firstStepSeconds, lastLoss, flops } = this;
    return { rounds, medianSeconds: median(rounds.flat()), peakBytes, firstStepSeconds, lastLoss, flops };
  }
}

/** One training step of BERT-base: both sides stay loaded and take turns, so that a slow spell hits both. */
export async function benchStep(
  options: BenchOptions,
  precision: Precision,
  speeds: MatmulSpeeds,
  say: (text: string) => void,
): Promise<StepResult> {
  const { batch, length, device, steps, rounds } = options;
  const settings = { precision, batch, length, device, model: bertBase, lever: 'plain' };
  say(`step, ${precision}: starting t4`);
  const t4 = new SideRun(nodeCommand('t4-step.js', settings), device);
  await t4.warmUp();
  say(`step, ${precision}: starting PyTorch`);
  const torch = new SideRun(pythonCommand('step.py', settings), device);
  await torch.warmUp();
  for (let round = 1; round <= rounds; round++) {
    say(`step, ${precision}: round ${round} of ${rounds}`);
    await t4.round(steps);
    await torch.round(steps);
  }
  const sides = { t4: await t4.finish(), torch: await torch.finish() };
  const flops = {
    t4: sides.t4.flops ?? NaN,
    torch: torchStepFlops(bertBase, batch, length),
  };
  const speed = speeds.best[precision];
  const limitSeconds = { t4: flops.t4 / speed, torch: flops.torch / speed };
  return {
    precision,
    ...sides,
    ratio: sides.t4.medianSeconds / sides.torch.medianSeconds,
    ratioRange: rangeOfRatios(sides.t4.rounds, sides.torch.rounds),
    flops,
    limitSeconds,
    t4ShareOfLimit: limitSeconds.t4 / sides.t4.medianSeconds,
    torchShareOfLimit: limitSeconds.torch / sides.torch.medianSeconds,
  };
}
