import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { z } from 'zod';
import { floats, numbersOf, runEagerly } from '../graph/testing.js';
import { modelConfigSchema, modelTypes } from '../models/model-config.js';
import { modelOf } from '../models/network.js';
import { adversaryOf, fgm, isWordTable, perturbation, type Adversary } from './adversary.js';

const perturb = (gradient: readonly number[], adversary: Adversary, from?: readonly number[]): number[] => {
  const tensors = [gradient, ...(from === undefined ? [] : [from])].map((values) => floats([values.length], values));
  return numbersOf(runEagerly(tensors, (tensor, start) => [perturbation(tensor, adversary, start)])[0]!);
};

describe('adversarial perturbation', () => {
  it('has the length epsilon and the direction of the gradient', () => {
    const [a, b, c] = perturb([3, 0, -4], fgm(0.5));
    expect(a).to.be.closeTo(0.3, 1e-6);
    expect(b).to.equal(0);
    expect(c).to.be.closeTo(-0.4, 1e-6);
  });

  it('of a tiny gradient is as long, and of none is none', () => {
    expect(perturb([1e-12, 0], fgm(1))[0]).to.be.closeTo(1, 1e-6);
    expect(perturb([0, 0], fgm(1))).to.deep.equal([0, 0]);
  });

  it('goes on from where it is, and not beyond the radius', () => {
    const pgd = { steps: 2, size: 1, radius: 2.5 };
    const [a, b] = perturb([0, 7], pgd, [1, 0]);
    expect([a, b]).to.deep.equal([1, 1]);
    const [c, d] = perturb([0, 7], pgd, [2, 1]);
    expect(c! / d!).to.be.closeTo(1, 1e-6);
    expect(Math.hypot(c!, d!)).to.be.closeTo(2.5, 1e-6);
    expect(perturb([5, 0], { ...pgd, radius: 0.25 })[0]).to.be.closeTo(0.25, 1e-6);
  });

  it('is what a task asks for', () => {
    const none = { fgm_epsilon: 0, pgd_steps: 0, pgd_alpha: undefined, pgd_epsilon: undefined };
    expect(adversaryOf(none)).to.equal(undefined);
    expect(adversaryOf({ ...none, fgm_epsilon: 0.5 })).to.deep.equal(fgm(0.5));
    expect(adversaryOf({ ...none, pgd_steps: 3 })).to.deep.equal({ steps: 3, size: 0.3, radius: 1 });
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
