import { expect } from 'chai';
import { createSpeed } from './speed.js';

describe('the speed of the latest steps', () => {
  it('is that of all their work in all seconds, newer steps counting more', () => {
    const speed = createSpeed();
    expect(speed.perSecond()).to.deep.equal({ tokens: 0, flops: 0 });
    speed.add({ tokens: 100, flops: 7000 }, 2);
    expect(speed.perSecond()).to.deep.equal({ tokens: 50, flops: 3500 });
    speed.add({ tokens: 300, flops: 11_000 }, 1);
    const { tokens, flops } = speed.perSecond();
    expect(tokens).to.be.closeTo((0.9 * 100 + 300) / (0.9 * 2 + 1), 1e-12);
    expect(flops).to.be.closeTo((0.9 * 7000 + 11_000) / (0.9 * 2 + 1), 1e-9);
  });

  it('comes to a new one when it changes for good', () => {
    const speed = createSpeed();
    speed.add({ tokens: 1000, flops: 1 }, 1);
    for (let step = 0; step < 200; step++) speed.add({ tokens: 10, flops: 1 }, 1);
    expect(speed.perSecond().tokens).to.be.closeTo(10, 1e-3);
  });
});
