import { expect } from 'chai';
import { createPeak } from './peak.js';
import { createStepLog } from './step-log.js';

describe('the lines of steps in log.jsonl', () => {
  it('say what share of the peak the steps since the last line were, once the peak is known', () => {
    const lines: Readonly<Record<string, unknown>>[] = [];
    const peak = createPeak(() => 1e-3);
    const start = { sinceLog: { steps: 0, loss: 0 } };
    const schedule = { totalSteps: 4, warmupSteps: 0 };
    const log = createStepLog({ start, settings: { log_every: 2 }, schedule }, peak, {
      append: (line) => lines.push(line),
      sync: () => undefined,
    });
    const step = { kind: 'step', epoch: 1, loss: 2, gradNorm: 1, learningRate: 0.1, examples: 3, tokens: 30 } as const;
    for (const number of [1, 2]) log.step({ ...step, step: number, flops: 1000 });
    peak.after(60);
    for (const number of [3, 4]) log.step({ ...step, step: number, flops: 1000 });
    expect(lines.map(({ step: number }) => number)).to.deep.equal([2, 4]);
    expect(lines[0]).to.not.have.property('share_of_peak');
    const [share, tokens] = [lines[1]!.share_of_peak, lines[1]!.tokens_per_second].map(Number);
    // 2000 operations and 60 tokens in the same seconds.
    expect(share! / tokens!).to.be.closeTo(2000 / 60 / 1e-3, 1);
  });
});
