// A process that trains BERT-base on a fixed batch with t4, plainly or with one lever. A line {"steps": n} on stdin is answered by the seconds
// of each of n steps; one line more, before all others, comes after the first step.
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { createRandom } from '../../src/data/random.js';
import { bertConfigSchema } from '../../src/models/bert-config.js';
import { sequenceClassifier } from '../../src/models/network.js';
import { adamW } from '../../src/training/adamw.js';
import { fgm } from '../../src/training/adversary.js';
import { trainingProgram } from '../../src/training/program.js';
import { plainStep, type Techniques } from '../../src/training/techniques.js';
import { openTrainer } from '../../src/training/trainer.js';
import { nodeBackend } from '../../src/graph/index.js';
import { bertBase, bertSettings } from './flops.js';
import { accumulatedBatches, leverNames } from './levers.js';

const settings = z
  .object({
    precision: z.enum(['fp32', 'bf16']),
    batch: z.int(),
    length: z.int(),
    device: z.enum(['cpu', 'gpu']),
    lever: z.enum(['plain', ...leverNames]),
  })
  .parse(JSON.parse(process.argv[2]!));

if (settings.device === 'gpu' && !nodeBackend.isUsingGpuDevice) throw new Error('TensorFlow found no GPU');

const config = bertConfigSchema.parse(bertSettings(bertBase));
const optimizer = adamW({ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 });
/** The others are no matter of the graph. */
const techniquesOf: Partial<Record<typeof settings.lever, Partial<Techniques>>> = {
  ema: { emaDecay: 0.99 },
  fgm: { adversary: fgm(1) },
  pgd: { adversary: { steps: 3, size: 0.3, radius: 1 } },
  vat: { virtualAdversary: { epsilon: 1, xi: 10, steps: 1, weight: 1 } },
  'gradient-penalty': { gradientPenalty: 1 },
  'r-drop': { rDrop: 1 },
  accumulation: { gradientAccumulation: accumulatedBatches },
  recompute: { recompute: true },
};
const techniques = { ...plainStep, ...techniquesOf[settings.lever] };
const { precision } = settings;
const program = trainingProgram({
  network: sequenceClassifier(config, bertBase.labels),
  precision,
  optimizer,
  maxGradNorm: 1,
  techniques,
});
const trainer = openTrainer(program, { optimizer, seed: 1, techniques });
trainer.initialize(1);

const random = createRandom(1);
const { batch: size, length } = settings;
const tokens = size * length;
const batch = {
  size,
  length,
  inputIds: Int32Array.from({ length: tokens }, () => 1 + random(bertBase.vocabulary - 1)),
  tokenTypeIds: new Int32Array(tokens),
  attentionMask: new Int32Array(tokens).fill(1),
  labels: Int32Array.from({ length: size }, (_, i) => i % bertBase.labels),
  labelled: 'example' as const,
  indices: new Int32Array(size),
  tokens,
};
const batches = Array.from({ length: techniques.gradientAccumulation }, () => batch);

let step = 0;
function runSteps(count: number): { seconds: number[]; loss: number; flops: number } {
  const seconds: number[] = [];
  let loss = NaN;
  for (let i = 0; i < count; i++) {
    const began = performance.now();
    ({ loss } = trainer.step(batches, step++, 2e-5));
    seconds.push((performance.now() - began) / 1000);
  }
  return { seconds, loss, flops: trainer.flops([batch]) };
}

const answer = (value: unknown): void => {
  process.stdout.write(`${JSON.stringify(value)}\n`);
};

answer(runSteps(1));
for await (const line of createInterface({ input: process.stdin })) {
  const { steps } = z.object({ steps: z.int() }).parse(JSON.parse(line));
  answer(runSteps(steps));
}
