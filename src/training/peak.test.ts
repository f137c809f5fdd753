import { expect } from 'chai';
import { createPeak, measurePeak } from './peak.js';

describe("the machine's peak", () => {
  it('is measured once, after two seconds of steps', () => {
    let measured = 0;
    const peak = createPeak(() => {
      measured++;
      return 200;
    });
    peak.after(1.9);
    expect(peak.share(100)).to.equal(undefined);
    expect(measured).to.equal(0);
    peak.after(0.1);
    peak.after(5);
    expect(measured).to.equal(1);
    expect(peak.share(100)).to.equal(0.5);
    expect(peak.share(NaN)).to.equal(undefined);
  });

  for (const precision of ['fp32', 'bf16'] as const) {
    it(`is a speed that a computer may have, in ${precision}`, () => {
      expect(measurePeak('cpu', precision)).to.be.within(1e8, 1e15);
    });
  }
});
