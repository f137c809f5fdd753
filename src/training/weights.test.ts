import { expect } from 'chai';
import type { Call, HostTensor } from '../graph/index.js';
import { loadWeights, weightReader } from './weights.js';

/** A session that only keeps the values of its variables; `calls` has the names of each call. */
function memory(): {
  runTogether: (calls: readonly Call[]) => Record<string, HostTensor>[];
  calls: string[][];
} {
  const values = new Map<string, HostTensor>();
  const calls: string[][] = [];
  return {
    calls,
    runTogether(given) {
      calls.push(given.map(({ name }) => name));
      return given.map(({ name, inputs }): Record<string, HostTensor> => {
        const [kind, variable] = name.split('/') as [string, string];
        if (kind === 'fetch') return { value: values.get(variable)! };
        values.set(variable, inputs.value!);
        return {};
      });
    },
  };
}

/** The bytes of a group: 64 MiB, as four-byte numbers. */
const full = 2 ** 24;
const sizes = { a: 3, b: full - 5, c: 2, d: 7, e: full + 1 };
const weights = Object.entries(sizes).map(([name, size], i) => ({
  name,
  shape: [size],
  read: () => new Float32Array(size).fill(i + 1),
}));

describe('weights on their way into a model and out', () => {
  it('travel in groups of up to 64 MiB, a larger one by itself', () => {
    const { runTogether, calls } = memory();
    loadWeights(weights, runTogether);
    expect(calls).to.deep.equal([['assign/a', 'assign/b', 'assign/c'], ['assign/d'], ['assign/e']]);
  });

  it('come back as they were, each group fetched once when they are asked for in order', () => {
    const { runTogether, calls } = memory();
    loadWeights(weights, runTogether);
    calls.length = 0;
    const read = weightReader(weights, runTogether);
    weights.forEach(({ name, shape }, i) => {
      const values = read(name);
      expect([values.length, values[0], values.at(-1)]).to.deep.equal([shape[0], i + 1, i + 1]);
    });
    expect(calls).to.deep.equal([['fetch/a', 'fetch/b', 'fetch/c'], ['fetch/d'], ['fetch/e']]);
    expect(read('c')).to.deep.equal(new Float32Array([3, 3]));
  });

  it('are refused where no variable has that name', () => {
    expect(() => weightReader(weights, memory().runTogether)('z')).to.throw('there is no variable z to fetch');
  });
});
