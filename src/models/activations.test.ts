import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { z } from 'zod';
import { floats, numbersOf, runEagerly, stage, type TensorFunction } from '../graph/testing.js';
import { tf, type HostTensor } from '../graph/index.js';
import { activationNames, type ActivationName } from './activation-names.js';
import { activations } from './activations.js';

const schema = z.object({
  points: z.array(z.number()),
  activations: z.record(z.string(), z.object({ values: z.array(z.number()), derivatives: z.array(z.number()) })),
});

// Made by test/fixtures/models/make.py from Transformers' activation table, in float64.
const fixture = schema.parse(JSON.parse(readFileSync('test/fixtures/models/activations.json', 'utf8')));

// 3e-6: near -1 a float32 tanh is exact to 6e-8, and 1 + tanh is then multiplied by up to 12 and 3.
const expectClose = (got: HostTensor, expected: readonly number[]): void => {
  const values = numbersOf(got);
  expect(values).to.have.length(expected.length);
  expected.forEach((value, i) => {
    expect(values[i], `at ${fixture.points[i]!}`).to.be.closeTo(value, 3e-6 + 1e-6 * Math.abs(value));
  });
};

describe('the activation', () => {
  const points = floats([fixture.points.length], fixture.points);

  for (const name of activationNames) {
    const f: TensorFunction = (x) => [
      activations[name](x),
      tf.grad((given) => activations[name](given))(x),
      // With another gradient flowing in than ones.
      tf.grad((given) => tf.mul(activations[name](given), -3))(x),
    ];

    const expectAll = ([values, derivatives, scaled]: HostTensor[]): void => {
      const reference = fixture.activations[name]!;
      expectClose(values!, reference.values);
      expectClose(derivatives!, reference.derivatives);
      expectClose(
        scaled!,
        reference.derivatives.map((value) => -3 * value),
      );
    };

    it(`${name} and its derivative equal Transformers' and PyTorch's`, () => {
      expectAll(runEagerly([points], f));
    });

    it(`${name} and its derivative equal them when traced`, () => {
      const staged = stage([{ dtype: 'float32', shape: points.shape }], f);
      try {
        expectAll(staged.run(points));
      } finally {
        staged.dispose();
      }
    });
  }

  it('gelu means the exact form with erf, and gelu_new the tanh form', () => {
    const at = (name: ActivationName): number =>
      numbersOf(runEagerly([floats([1], [2])], (x) => [activations[name](x)])[0]!)[0]!;
    expect(at('gelu')).to.be.closeTo(1.9544997, 1e-6);
    expect(at('gelu_new')).to.be.closeTo(1.9545977, 1e-6);
  });
});
