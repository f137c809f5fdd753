import { expect } from 'chai';
import { linearSchedule, scheduleShare, warmupSteps, type Decay } from './schedule.js';

describe('learning rate', () => {
  // transformers 5.23.0, get_linear_schedule_with_warmup(optimizer, warmup, total) with a peak of 1: get_last_lr() before
  // each step.
  const reference = [
    { warmup: 3, total: 10, rates: [0, 1 / 3, 2 / 3, 1, 6 / 7, 5 / 7, 4 / 7, 3 / 7, 2 / 7, 1 / 7, 0, 0] },
    { warmup: 0, total: 4, rates: [1, 0.75, 0.5, 0.25, 0, 0] },
  ];
  for (const { warmup, total, rates } of reference) {
    it(`rises in ${warmup} of ${total} steps and falls to 0, as in Transformers`, () => {
      const settings = { totalSteps: total, warmupSteps: warmup };
      const got = rates.map((_, step) => linearSchedule(step, settings));
      got.forEach((rate, step) => {
        expect(rate).to.be.closeTo(rates[step]!, 1e-12);
      });
    });
  }

  // The same of the other schedules; polynomial with lr_end=0.1, power=2.
  const others: [Decay, number[]][] = [
    [{ kind: 'cosine' }, [0, 0.5, 1, 0.75, 0.25, 0, 0]],
    [{ kind: 'constant' }, [0, 0.5, 1, 1, 1, 1, 1]],
    [{ kind: 'polynomial', power: 2, end: 0.1 }, [0, 0.5, 1, 0.5, 0.2, 0.1, 0.1]],
  ];
  for (const [decay, rates] of others) {
    it(`behind the warmup goes on: ${decay.kind}, as in Transformers`, () => {
      const settings = { totalSteps: 5, warmupSteps: 2, decay };
      rates.forEach((rate, step) => {
        expect(scheduleShare(step, settings), `step ${step}`).to.be.closeTo(rate, 1e-12);
      });
    });
  }

  it('stays defined where all steps are warmup', () => {
    const settings = { totalSteps: 2, warmupSteps: 2 };
    expect([0, 1, 2].map((step) => linearSchedule(step, settings))).to.deep.equal([0, 0.5, 0]);
  });

  it('takes warmup as steps, or as a share rounded up, and never more than all steps', () => {
    expect(warmupSteps(100, { warmup_ratio: 0.1 })).to.equal(10);
    expect(warmupSteps(101, { warmup_ratio: 0.1 })).to.equal(11);
    expect(warmupSteps(100, { warmup_ratio: 0, warmup_steps: 7 })).to.equal(7);
    expect(warmupSteps(5, { warmup_ratio: 0, warmup_steps: 7 })).to.equal(5);
    expect(warmupSteps(5, { warmup_ratio: 0.1, warmup_steps: 0 })).to.equal(0);
  });
});
