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
