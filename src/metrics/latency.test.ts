import { expect } from 'chai';
import { latencyOf } from './latency.js';
import { percentile } from './percentile.js';

describe('latency', () => {
  it('is median and 95th percentile, between neighbours as numpy has it', () => {
    // numpy.percentile([4, 1, 3, 2], [50, 95])
    const { median, p95 } = latencyOf([4, 1, 3, 2]);
    expect(median).to.equal(2.5);
    expect(p95).to.be.closeTo(3.85, 1e-12);
    expect(latencyOf([7])).to.deep.equal({ median: 7, p95: 7 });
  });

  it('sorts by number and leaves its argument alone', () => {
    const times = [100, 9, 20];
    expect(latencyOf(times).median).to.equal(20);
    expect(times).to.deep.equal([100, 9, 20]);
  });

  it('is not of nothing', () => {
    expect(() => latencyOf([])).to.throw('no values');
  });
});

describe('percentiles', () => {
  it('go from the least value to the greatest', () => {
    const values = Float64Array.of(0.1, 0.2, 0.7);
    expect([0, 50, 100].map((percent) => percentile(values, percent))).to.deep.equal([0.1, 0.2, 0.7]);
  });
});
