import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { z } from 'zod';
import { floats, numbersOf, runEagerly } from '../graph/testing.js';
import { modelConfigSchema, modelTypes } from '../models/model-config.js';
import { modelOf } from '../models/network.js';
import { isWordTable, perturbation } from './adversary.js';

const perturb = (gradient: readonly number[], epsilon: number): number[] =>
  numbersOf(runEagerly([floats([gradient.length], gradient)], (tensor) => [perturbation(tensor, epsilon)])[0]!);

describe('adversarial perturbation', () => {
  it('has the length epsilon and the direction of the gradient', () => {
    const [a, b, c] = perturb([3, 0, -4], 0.5);
    expect(a).to.be.closeTo(0.3, 1e-6);
    expect(b).to.equal(0);
    expect(c).to.be.closeTo(-0.4, 1e-6);
  });

  it('of a tiny gradient is as long, and of none is none', () => {
    expect(perturb([1e-12, 0], 1)[0]).to.be.closeTo(1, 1e-6);
    expect(perturb([0, 0], 1)).to.deep.equal([0, 0]);
  });

  it('is of one table in every family', () => {
    for (const family of modelTypes) {
      const fixture: unknown = JSON.parse(readFileSync(`test/fixtures/models/families/${family}.json`, 'utf8'));
      const { config } = z.object({ config: modelConfigSchema }).parse(fixture);
      const tables = modelOf(config).variables.filter(({ name }) => isWordTable(name));
      expect(
        tables.map(({ shape }) => shape[0]),
        family,
      ).to.deep.equal([config.vocab_size]);
    }
  });
});
