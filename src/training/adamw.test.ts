import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { z } from 'zod';
import { hasFusedOps } from '../graph/fused-ops.js';
import { floats, largestDifference, numbersOf, runEagerly } from '../graph/testing.js';
import { adamDirection, adamW } from './adamw.js';
import { clipFactor, globalNorm } from './optimizer.js';
import { takeSteps } from './testing.js';

const tensorsSchema = z.record(z.string(), z.array(z.number()));
const schema = z.object({
  shapes: z.record(z.string(), z.array(z.number())),
  start: tensorsSchema,
  gradients: z.array(tensorsSchema),
  cases: z.array(
    z.object({
      title: z.string(),
      learningRate: z.number(),
      weightDecay: z.number(),
      beta1: z.number(),
      beta2: z.number(),
      epsilon: z.number(),
      maxNorm: z.number(),
      steps: z.array(z.object({ norm: z.number(), weights: tensorsSchema })),
    }),
  ),
});

// Made by test/fixtures/optimizer/make.py with torch.optim.AdamW and clip_grad_norm_.
const fixture = schema.parse(JSON.parse(readFileSync('test/fixtures/optimizer/adamw.json', 'utf8')));
const { shapes, start, gradients } = fixture;

describe('AdamW', () => {
  const cases = fixture.cases.flatMap((steps) => [false, hasFusedOps].map((fused) => ({ ...steps, fused })));
  for (const { title, learningRate, maxNorm, steps, fused, ...settings } of cases) {
    it(`takes PyTorch's steps: ${title}${fused ? ', in one pass' : ''}`, () => {
      const rates = steps.map((_, step) => learningRate * (1 - step / steps.length));
      const decayed = (name: string) => name === 'kernel';
      const taken = takeSteps({ optimizer: adamW(settings), shapes, start, gradients, decayed, rates, maxNorm, fused });
      steps.forEach((expected, step) => {
        const { norm, weights } = taken[step]!;
        expect(norm / expected.norm).to.be.closeTo(1, 1e-6);
        for (const [name, shape] of Object.entries(shapes)) {
          const difference = largestDifference(weights[name]!, floats(shape, expected.weights[name]!));
          expect(difference, `${name} after step ${step + 1}`).to.be.below(1e-6);
        }
      });
    });
  }
});

describe('clipFactor', () => {
  const factor = (values: readonly number[][], maxNorm: number): number => {
    const tensors = values.map((vector) => floats([vector.length], vector));
    const [result] = runEagerly(tensors, (...given) => [clipFactor(globalNorm(given), maxNorm)]);
    return numbersOf(result!)[0]!;
  };

  it('brings all tensors together to the given norm', () => {
    expect(factor([[3, 0], [4]], 1)).to.be.closeTo(0.2, 1e-6);
  });

  it('leaves a smaller norm as it is, and zeros', () => {
    expect(factor([[3, 0], [4]], 5.1)).to.equal(1);
    expect(factor([[0, 0]], 1)).to.equal(1);
  });
});

describe("AdamW's factors", () => {
  it("without correction are those of Google's BERT at every step", () => {
    const settings = { beta1: 0.9, beta2: 0.999, epsilon: 1e-6, weightDecay: 0.1, biasCorrection: false };
    for (const t of [1, 2, 1000]) {
      const factors = adamW(settings).factors(0.01, t);
      expect(factors).to.deep.equal({ stepSize: 0.01, epsilon: 1e-6, decayFactor: 1 - 0.001 });
    }
  });

  it('correct the bias of the first step exactly, and vanish later', () => {
    const settings = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 };
    // After one step m / (1 - beta1) is the gradient and v / (1 - beta2) its square.
    const [m, v] = [1 - Math.fround(0.9), Math.sqrt(1 - Math.fround(0.999))];
    expect((adamDirection(settings, 1).scale * m) / v).to.be.closeTo(1, 1e-12);
    expect(adamW(settings).factors(0.01, 1).decayFactor).to.equal(1 - 0.001);
    const late = adamDirection(settings, 100_000);
    expect(late.scale).to.be.closeTo(1, 1e-7);
    expect(late.epsilon).to.be.closeTo(1e-8, 1e-15);
  });
});
