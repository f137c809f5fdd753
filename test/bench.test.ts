import { expect } from 'chai';
import { leverNames } from '../tools/bench/levers.js';
import { parseOptions } from '../tools/bench/options.js';
import { median, rangeOfRatios } from '../tools/bench/statistics.js';

describe('the bench', () => {
  it('measures everything, with every lever and three seeds, where nothing else is asked for', () => {
    const options = parseOptions([])!;
    expect(options).to.include({ bench: 'all', device: 'cpu', batch: 16, length: 128, epochs: 1, rows: undefined });
    expect(options.precisions).to.deep.equal(['fp32', 'bf16']);
    expect(options.levers).to.deep.equal(leverNames);
    expect(options.seeds).to.deep.equal([1, 2, 3]);
  });

  it('takes lists and numbers from the command line', () => {
    const options = parseOptions(['epoch', '--seeds', '4,0', '--levers', 'fgm,ema', '--rows', '64', '--lines', '9'])!;
    expect(options).to.include({ bench: 'epoch', rows: 64, lines: 9 });
    expect(options.seeds).to.deep.equal([4, 0]);
    expect(options.levers).to.deep.equal(['fgm', 'ema']);
  });

  it('says what is wrong with an option', () => {
    const saying = (...args: string[]) => expect(() => parseOptions(args)).to.throw(TypeError);
    saying('steps')
      .with.property('message')
      .that.matches(/^bench: got steps, expected step, techniques, /);
    saying('step', 'epoch').with.property('message', 'one bench at a time, or all; got step epoch');
    saying('--steps', '0').with.property('message', '--steps: got 0, expected 1 or more');
    saying('--rows', 'all').with.property('message', '--rows: got all, expected 1 or more');
    saying('--levers', 'ema,sgd')
      .with.property('message')
      .that.matches(/^--levers: got sgd, expected ema, /);
    for (const seeds of ['1,,2', '1.5', '-1', 'all']) {
      saying(`--seeds=${seeds}`).with.property('message', `--seeds: got ${seeds}, expected numbers like 1,2,3`);
    }
  });

  it('compares the medians of each round', () => {
    expect(median([5, 1, 3])).to.equal(3);
    expect(median([4, 1, 3, 2])).to.equal(2.5);
    // Rounds of medians 2 and 6 beside 4 and 3.
    const range = rangeOfRatios(
      [
        [9, 2, 1],
        [6, 6, 60],
      ],
      [
        [4, 4, 40],
        [3, 1, 5],
      ],
    );
    expect(range).to.deep.equal([0.5, 2]);
  });
});
