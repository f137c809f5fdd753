import { expect } from 'chai';
import {
  beginning,
  evaluationIsDue,
  isOver,
  trainingLoop,
  type LoopEvent,
  type LoopOptions,
  type LoopState,
} from './loop.js';

/** Two epochs and a half of four batches, which are their own names; the scores are given. */
interface Settings {
  scores?: (number | undefined)[];
  start?: Partial<LoopState>;
  totalSteps?: number;
  evaluateEvery?: number;
  epochEnds?: readonly number[];
  patience?: number;
}

function script(settings: Settings = {}) {
  const done: string[] = [];
  const scores = [...(settings.scores ?? [])];
  const options: LoopOptions<string, number> = {
    totalSteps: settings.totalSteps ?? 10,
    epochEnds: settings.epochEnds ?? [4, 8, 12, 16, 20, 24],
    evaluateEvery: settings.evaluateEvery,
    patience: settings.patience,
    batches: (epoch) => ['a', 'b', 'c', 'd'].map((name) => `${name}${epoch}`),
    step: (batch, step) => {
      done.push(`${step}:${batch}`);
      return { loss: step, gradNorm: 1, learningRate: 0.1, examples: 2, tokens: 9, flops: 70 };
    },
    evaluate: settings.scores === undefined ? undefined : () => Promise.resolve(scores.shift()),
    score: (metrics) => metrics,
    start: { ...beginning, ...settings.start },
  };
  return { done, options };
}

async function all(options: LoopOptions<string, number>): Promise<LoopEvent<number>[]> {
  const events: LoopEvent<number>[] = [];
  for await (const event of trainingLoop(options)) events.push(event);
  return events;
}

const told = (events: readonly LoopEvent<number>[]) =>
  events.map((event) =>
    event.kind === 'step' ? event.step : `${event.step}${event.isBest ? '*' : ''}=${event.metrics ?? 'none'}`,
  );

describe('training loop', () => {
  it('steps through the epochs, evaluates after each and after the last step, and marks the best', async () => {
    const { done, options } = script({ scores: [0.5, 0.9, 0.7] });
    const events = await all(options);
    expect(told(events)).to.deep.equal([1, 2, 3, 4, '4*=0.5', 5, 6, 7, 8, '8*=0.9', 9, 10, '10=0.7']);
    const first = ['0:a0', '1:b0', '2:c0', '3:d0', '4:a1', '5:b1', '6:c1', '7:d1', '8:a2', '9:b2'];
    expect(done).to.deep.equal(first);
    expect(events.at(-1)).to.deep.include({ epoch: 2.5, best: { step: 8, score: 0.9 } });
  });

  it('follows epochs of unequal lengths, from their middle too', async () => {
    const uneven = { epochEnds: [3, 8, 10], scores: [0.5, 0.9, 0.7] };
    const batches = (epoch: number): string[] => ['abc', 'defgh', 'ij'][epoch]!.split('');
    const whole = script(uneven);
    const events = await all({ ...whole.options, batches });
    expect(told(events)).to.deep.equal([1, 2, 3, '3*=0.5', 4, 5, 6, 7, 8, '8*=0.9', 9, 10, '10=0.7']);
    expect(whole.done.join()).to.equal('0:a,1:b,2:c,3:d,4:e,5:f,6:g,7:h,8:i,9:j');
    expect(events.map(({ epoch }) => epoch).slice(2, 8)).to.deep.equal([1, 1, 1.2, 1.4, 1.6, 1.8]);
    for (const step of [2, 3, 6, 8]) {
      const resumed = script({ ...uneven, start: { step, evaluated: step } });
      await all({ ...resumed.options, batches });
      expect(resumed.done).to.deep.equal(whole.done.slice(step));
    }
  });

  it('calls an equal score no better', async () => {
    const { options } = script({ scores: [0.5, 0.5, 0.5] });
    expect(told(await all(options)).filter((event) => typeof event === 'string')).to.deep.equal([
      '4*=0.5',
      '8=0.5',
      '10=0.5',
    ]);
  });

  it('without a dev set takes the newest weights for the best', async () => {
    const events = await all(script().options);
    expect(told(events).filter((event) => typeof event === 'string')).to.deep.equal(['4*=none', '8*=none', '10*=none']);
  });

  it('goes on in the middle of an epoch with the very batches that are left', async () => {
    const start = { step: 6, evaluated: 4, best: { step: 4, score: 0.8 } };
    const { done, options } = script({ scores: [0.7, 0.9], start });
    expect(told(await all(options))).to.deep.equal([7, 8, '8=0.7', 9, 10, '10*=0.9']);
    expect(done).to.deep.equal(['6:c1', '7:d1', '8:a2', '9:b2']);
  });

  it('goes on with the evaluation where it was stopped before it', async () => {
    const { done, options } = script({ scores: [0.7, 0.9], start: { step: 8, evaluated: 4, best: undefined } });
    expect(told(await all(options))).to.deep.equal(['8*=0.7', 9, 10, '10*=0.9']);
    expect(done).to.deep.equal(['8:a2', '9:b2']);
  });

  it('after the last step too', async () => {
    const { done, options } = script({ scores: [0.7], start: { step: 10, evaluated: 8, best: undefined } });
    expect(told(await all(options))).to.deep.equal(['10*=0.7']);
    expect(done).to.deep.equal([]);
  });

  it('has nothing to do where all is done', async () => {
    const { options } = script({ scores: [], start: { step: 10, evaluated: 10, best: undefined } });
    expect(await all(options)).to.deep.equal([]);
  });

  it('ends where the evaluation is told to stop', async () => {
    const { options } = script({ scores: [undefined, 1] });
    expect(told(await all(options))).to.deep.equal([1, 2, 3, 4]);
  });

  it('ends within the first epoch where there are fewer steps', async () => {
    const { options } = script({ scores: [0.5], totalSteps: 2 });
    expect(told(await all(options))).to.deep.equal([1, 2, '2*=0.5']);
  });

  it('evaluates every so many steps where that is asked for, and goes on in the epoch', async () => {
    const { done, options } = script({ scores: [0.5, 0.9, 0.7, 0.8], evaluateEvery: 3 });
    const events = told(await all(options));
    expect(events).to.deep.equal([1, 2, 3, '3*=0.5', 4, 5, 6, '6*=0.9', 7, 8, 9, '9=0.7', 10, '10=0.8']);
    expect(done.slice(2, 5)).to.deep.equal(['2:c0', '3:d0', '4:a1']);
    expect(done.at(-1)).to.equal('9:b2');
  });

  it('ends after so many evaluations in a row that are no better', async () => {
    const { options } = script({ scores: [0.5, 0.5, 0.6, 0.6, 0.4, 0.9], totalSteps: 24, patience: 2 });
    const events = told(await all(options)).filter((event) => typeof event === 'string');
    expect(events).to.deep.equal(['4*=0.5', '8=0.5', '12*=0.6', '16=0.6', '20=0.4']);
  });

  it('remembers what was no better before it was stopped', async () => {
    const start = { step: 8, evaluated: 8, best: { step: 4, score: 0.8 }, unimproved: 1 };
    const { options } = script({ scores: [0.7, 0.9], totalSteps: 24, patience: 2, start });
    expect(told(await all(options))).to.deep.equal([9, 10, 11, 12, '12=0.7']);
    const over = { ...start, unimproved: 2 };
    expect(told(await all(script({ totalSteps: 24, patience: 2, start: over }).options))).to.deep.equal([]);
    expect(isOver(over, { totalSteps: 24, patience: 2 })).to.equal(true);
    expect(isOver(over, { totalSteps: 24 })).to.equal(false);
  });

  it('knows when an evaluation is due', () => {
    const due = (step: number, evaluated: number) =>
      evaluationIsDue({ ...beginning, step, evaluated }, { totalSteps: 10, epochEnds: [4, 8, 12] });
    expect([due(0, 0), due(3, 0), due(4, 0), due(4, 4), due(9, 8), due(10, 8), due(10, 10)]).to.deep.equal([
      false,
      false,
      true,
      false,
      false,
      true,
      false,
    ]);
  });
});
