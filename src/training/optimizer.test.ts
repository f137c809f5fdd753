import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { z } from 'zod';
import { floats, largestDifference, numbersOf, runEagerly } from '../graph/testing.js';
import { buildProgram, openSession, type FunctionSpec, type HostTensor, type Program } from '../graph/index.js';
import {
  adamWFactors,
  applyAdamW,
  clipByGlobalNorm,
  globalNorm,
  momentNames,
  type AdamWSettings,
} from './optimizer.js';

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
const names = Object.keys(fixture.shapes);
const tensorOf = (name: string, values: readonly number[]): HostTensor => floats(fixture.shapes[name]!, values);
const scalar = { dtype: 'float32', shape: [] } as const;

function programOf(settings: AdamWSettings, maxNorm: number): Program {
  const weights = names.map((name) => ({ name, shape: fixture.shapes[name]!, dtype: 'float32' as const }));
  const moments = weights.flatMap((weight) => momentNames(weight.name).map((name) => ({ ...weight, name })));
  const step: FunctionSpec = {
    inputs: {
      stepSize: scalar,
      epsilon: scalar,
      decayFactor: scalar,
      ...Object.fromEntries(names.map((name) => [name, { dtype: 'float32', shape: fixture.shapes[name]! }])),
    },
    build(inputs, variables) {
      const { stepSize, epsilon, decayFactor } = inputs;
      const gradients = names.map((name) => inputs[name]!);
      const norm = globalNorm(gradients);
      const clipped = maxNorm > 0 ? clipByGlobalNorm(gradients, norm, maxNorm) : gradients;
      applyAdamW(
        variables,
        names.map((name, i) => ({ name, gradient: clipped[i]!, decayed: name === 'kernel' })),
        settings,
        { stepSize: stepSize!, epsilon: epsilon!, decayFactor: decayFactor! },
      );
      return { norm };
    },
  };
  const variables = [...weights, ...moments];
  return buildProgram({ variables, functions: { step }, accessible: variables.map(({ name }) => name) });
}

describe('AdamW', () => {
  for (const { title, learningRate, maxNorm, steps, ...settings } of fixture.cases) {
    it(`takes PyTorch's steps: ${title}`, () => {
      const session = openSession(programOf(settings, maxNorm));
      try {
        for (const name of names) {
          session.run(`assign/${name}`, { value: tensorOf(name, fixture.start[name]!) });
          const zeros = fixture.start[name]!.map(() => 0);
          for (const moment of momentNames(name)) session.run(`assign/${moment}`, { value: tensorOf(name, zeros) });
        }
        steps.forEach((expected, step) => {
          const rate = learningRate * (1 - step / steps.length);
          const { stepSize, epsilon, decayFactor } = adamWFactors(settings, rate, step + 1);
          const { norm } = session.run('step', {
            stepSize: floats([], [stepSize]),
            epsilon: floats([], [epsilon]),
            decayFactor: floats([], [decayFactor]),
            ...Object.fromEntries(names.map((name) => [name, tensorOf(name, fixture.gradients[step]![name]!)])),
          });
          expect(Number(norm!.data[0]) / expected.norm).to.be.closeTo(1, 1e-6);
          for (const name of names) {
            const weights = session.run(`fetch/${name}`, {}).value!;
            const difference = largestDifference(weights, tensorOf(name, expected.weights[name]!));
            expect(difference, `${name} after step ${step + 1}`).to.be.below(1e-6);
          }
        });
      } finally {
        session.dispose();
      }
    });
  }
});

describe('clipByGlobalNorm', () => {
  const clip = (values: readonly number[][], maxNorm: number): number[][] =>
    runEagerly(
      values.map((vector) => floats([vector.length], vector)),
      (...tensors) => clipByGlobalNorm(tensors, globalNorm(tensors), maxNorm),
    ).map(numbersOf);

  it('scales all tensors by one factor, to the given norm together', () => {
    const [[a, b], [c]] = clip([[3, 0], [4]], 1) as [[number, number], [number]];
    expect(a).to.be.closeTo(0.6, 1e-6);
    expect(b).to.equal(0);
    expect(c).to.be.closeTo(0.8, 1e-6);
  });

  it('leaves a smaller norm as it is', () => {
    expect(clip([[3, 0], [4]], 5.1)).to.deep.equal([[3, 0], [4]]); // prettier-ignore
  });

  it('leaves zeros as they are', () => {
    expect(clip([[0, 0]], 1)).to.deep.equal([[0, 0]]);
  });
});

describe('adamWFactors', () => {
  it("without correction are those of Google's BERT at every step", () => {
    const settings = { beta1: 0.9, beta2: 0.999, epsilon: 1e-6, weightDecay: 0.1, biasCorrection: false };
    for (const t of [1, 2, 1000]) {
      const factors = adamWFactors(settings, 0.01, t);
      expect(factors).to.deep.equal({ stepSize: 0.01, epsilon: 1e-6, decayFactor: 1 - 0.001 });
    }
  });

  it('correct the bias of the first step exactly, and vanish later', () => {
    const settings = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 };
    const first = adamWFactors(settings, 0.01, 1);
    // After one step m / (1 - beta1) is the gradient and v / (1 - beta2) its square.
    const [m, v] = [1 - Math.fround(0.9), Math.sqrt(1 - Math.fround(0.999))];
    expect((first.stepSize * m) / v).to.be.closeTo(0.01, 1e-12);
    expect(first.decayFactor).to.equal(1 - 0.001);
    const late = adamWFactors(settings, 0.01, 100_000);
    expect(late.stepSize).to.be.closeTo(0.01, 1e-9);
    expect(late.epsilon).to.be.closeTo(1e-8, 1e-15);
  });
});
