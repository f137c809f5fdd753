import { expect } from 'chai';
import { dimension } from './dimensions.js';
import * as ops from './ops.js';
import type { TensorSpec } from './program.js';
import { largestDifference, runEagerly, sample, stage, traceFunction, type TensorFunction } from './testing.js';
import { tf } from './tensorflow.js';

const matrix: TensorSpec = { dtype: 'float32', shape: [dimension('batch'), 3] };

describe('while a function is traced', () => {
  it('the contents of a constant may be read, reshaped too', () => {
    let read: number[][] = [];
    traceFunction([matrix], (x) => {
      const constant = tf.tensor1d([0.5, -1.5]);
      read = [[...constant.dataSync()], [...tf.reshape(constant, [2, 1]).dataSync()]];
      return [x];
    });
    expect(read).to.deep.equal([
      [0.5, -1.5],
      [0.5, -1.5],
    ]);
  });

  it('a shape read from the graph stays symbolic', () => {
    const f: TensorFunction = (x) => [tf.ones([...ops.shapeOf(x).dataSync()])];
    const staged = stage([matrix], f);
    const input = sample([4, 3]);
    expect(largestDifference(staged.run(input)[0]!, runEagerly([input], f)[0]!)).to.equal(0);
    staged.dispose();
  });

  it('a tensor outlives the clone of it that is disposed', () => {
    const { nodes } = traceFunction([matrix], (x) => {
      const sum = tf.sum(x);
      tf.clone(sum).dispose();
      return [tf.neg(sum)];
    });
    expect(nodes.map(({ op }) => op)).to.deep.equal(['Placeholder', 'Const', 'Sum', 'Neg', 'Identity']);
  });
});

describe('runAfter', () => {
  const f: TensorFunction = (x) => {
    const late = tf.exp(tf.sum(x));
    return [ops.runAfter(late, () => tf.mul(tf.cos(x), 2)), tf.sin(x)];
  };

  it('makes the ops asked for in it wait for the tensor, and no others', () => {
    const { nodes } = traceFunction([matrix], f);
    const late = nodes.find(({ op }) => op === 'Exp')!.name;
    const waiting = nodes.filter(({ inputs }) => inputs.includes(`^${late}`)).map(({ op }) => op);
    expect(waiting).to.deep.equal(['Cos', 'Mul']);
  });

  it('changes no result', () => {
    const staged = stage([matrix], f);
    const input = sample([4, 3]);
    const expected = runEagerly([input], f);
    staged.run(input).forEach((result, i) => {
      expect(largestDifference(result, expected[i]!)).to.be.below(1e-6);
    });
    staged.dispose();
  });

  it('ends with its body, also where that fails', () => {
    const { nodes } = traceFunction([matrix], (x) => {
      const late = tf.exp(x);
      try {
        ops.runAfter(late, () => {
          throw new Error('inside');
        });
      } catch {
        // What matters is the op after it.
      }
      return [late, tf.sin(x)];
    });
    expect(nodes.find(({ op }) => op === 'Sin')!.inputs).to.deep.equal(['f/input_in0']);
  });
});
