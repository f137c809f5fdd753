import { expect } from 'chai';
import { mcnemarTest } from './mcnemar.js';

describe("McNemar's test", () => {
  it('is exact with less than 25 examples that tell the models apart', () => {
    // 2 * (1 + 11 + 55) / 2^11
    expect(mcnemarTest(2, 9)).to.deep.equal({ method: 'exact binomial', statistic: 2, p: 134 / 2048 });
    expect(mcnemarTest(24, 0)).to.deep.equal({ method: 'exact binomial', statistic: 0, p: 2 ** -23 });
    expect(mcnemarTest(12, 12).p).to.equal(1);
  });

  it('is the corrected chi-square from there on', () => {
    // scipy.stats.chi2.sf(statistic, 1)
    expect(mcnemarTest(25, 0)).to.include({ method: 'chi-square', statistic: 576 / 25 });
    expect(mcnemarTest(25, 0).p).to.be.closeTo(1.58665630395e-6, 1e-16);
    expect(mcnemarTest(102, 86).p).to.be.closeTo(0.27396048848549, 1e-13);
    expect(mcnemarTest(13, 13)).to.deep.equal({ method: 'chi-square', statistic: 0, p: 1 });
  });

  it('finds nothing where nothing tells the models apart', () => {
    expect(mcnemarTest(0, 0)).to.deep.equal({ method: 'exact binomial', statistic: 0, p: 1 });
  });

  it('does not depend on which model is first', () => {
    for (const [a, b] of [
      [3, 8],
      [40, 90],
    ] as const)
      expect(mcnemarTest(a, b)).to.deep.equal(mcnemarTest(b, a));
  });

  it('is never negative, and 0 where a number cannot hold it', () => {
    expect(mcnemarTest(100_000, 0).p).to.equal(0);
    expect(mcnemarTest(700, 0).p).to.be.within(1e-155, 1e-150);
  });
});
