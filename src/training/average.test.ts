import { expect } from 'chai';
import { buildProgram, openSession } from '../graph/index.js';
import { hasFusedOps } from '../graph/fused-ops.js';
import { floats, numbersOf } from '../graph/testing.js';
import { averageName, averageShare, updateAverages } from './average.js';

describe('average of the weights', () => {
  for (const fused of [false, hasFusedOps])
    it(`is the mean of what the weights were after each step, the newest counting most${fused ? ', in one pass' : ''}`, () => {
      const shape = [2, 3];
      const name = 'weight';
      const program = buildProgram({
        fused,
        variables: [name, averageName(name)].map((variable) => ({ name: variable, shape, dtype: 'float32' as const })),
        functions: {
          step: {
            inputs: { value: { dtype: 'float32', shape }, share: { dtype: 'float32', shape: [] } },
            build({ value, share }, variables) {
              variables.assign(name, value!);
              updateAverages(variables, [name], share!);
              return { average: variables.read(averageName(name)) };
            },
          },
        },
        accessible: [averageName(name)],
      });
      const decay = 0.9;
      const valuesAt = (step: number) => Array.from({ length: 6 }, (_, i) => Math.sin(step * 7 + i) + i);
      const session = openSession(program);
      try {
        session.run(`assign/${averageName(name)}`, { value: floats(shape, new Array<number>(6).fill(0)) });
        for (let t = 1; t <= 30; t++) {
          const { average } = session.run('step', {
            value: floats(shape, valuesAt(t)),
            share: floats([], [averageShare(decay, t)]),
          });
          const shares = Array.from({ length: t }, (_, i) => decay ** (t - 1 - i));
          const total = shares.reduce((sum, share) => sum + share, 0);
          const expected = valuesAt(0).map(
            (_, i) => shares.reduce((sum, share, step) => sum + share * valuesAt(step + 1)[i]!, 0) / total,
          );
          numbersOf(average!).forEach((value, i) => {
            expect(value, `step ${t}, element ${i}`).to.be.closeTo(expected[i]!, 1e-5);
          });
        }
      } finally {
        session.dispose();
      }
    });

  it('begins with the first weights alone, and in the end takes 1 - decay of the newest', () => {
    expect(averageShare(0.999, 1)).to.equal(1);
    expect(averageShare(0.999, 100_000)).to.be.closeTo(0.001, 1e-12);
  });
});
