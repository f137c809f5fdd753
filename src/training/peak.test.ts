import { expect } from 'chai';
import { createPeak, measurePeak } from './peak.js';

describe("the machine's peak", () => {
  it('is the fastest of what is measured after two seconds of steps, and each time after four times as many', () => {
    const speeds = [200, 400, 300];
    const peak = createPeak(() => speeds.shift()!);
    const shares = [1.9, 0.1, 5.9, 0.1, 23.9, 0.2, 95].map((seconds) => {
      peak.after(seconds);
      return peak.share(100);
    });
    expect(shares).to.deep.equal([undefined, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25]);
    expect(speeds).to.deep.equal([]);
    expect(peak.share(NaN)).to.equal(undefined);
  });

  for (const precision of ['fp32', 'bf16'] as const) {
    it(`is a speed that a computer may have, in ${precision}`, () => {
      expect(measurePeak('cpu', precision)).to.be.within(1e8, 1e15);
    });
  }
});
