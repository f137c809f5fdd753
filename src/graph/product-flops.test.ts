import { expect } from 'chai';
import { dimension } from './dimensions.js';
import { whileLoop } from './loop.js';
import { productFlops, solveMonomial } from './product-flops.js';
import { buildProgram, type FunctionSpec, type TensorSpec } from './program.js';
import { tf } from './tensorflow.js';

const [batch, sequence] = [dimension('batch'), dimension('sequence')];
const float = (...shape: TensorSpec['shape']): TensorSpec => ({ dtype: 'float32', shape });

const flopsOf = (f: FunctionSpec, precision: 'fp32' | 'bf16' = 'fp32') =>
  productFlops(buildProgram({ variables: [], functions: { f }, precision }), 'f');

describe('the floating-point operations of matrix products', () => {
  for (const precision of ['fp32', 'bf16'] as const) {
    it(`are those of every product that a result needs, whichever way it is turned, in ${precision}`, () => {
      const flops = flopsOf(
        {
          inputs: { x: float(batch, sequence, 3), w: float(3, 5), v: float(7, 5) },
          build({ x, w, v }) {
            const rows = tf.matMul(tf.reshape(x!, [-1, 3]), w!); // [B * S, 5]
            const turned = tf.matMul(rows, v!, false, true); // [B * S, 7]
            const scores = tf.matMul(x!, x!, false, true); // [B, S, S]
            tf.matMul(w!, v!, false, true); // nobody's
            return { turned, slope: tf.matMul(rows, turned, true, false), scores };
          },
        },
        precision,
      )!;
      const [b, s] = [4, 9];
      const [rows, turned, slope, scores] = [b * s * 3 * 5, b * s * 5 * 7, 5 * b * s * 7, b * s * s * 3];
      expect(flops({ batch: b, sequence: s })).to.equal(2 * (rows + turned + slope + scores));
    });
  }

  it('of equal products are those of one', () => {
    const flops = flopsOf({
      inputs: { x: float(batch, 3), w: float(3, 5) },
      build: ({ x, w }) => ({ sum: tf.add(tf.matMul(x!, w!), tf.matMul(x!, w!)) }),
    })!;
    expect(flops({ batch: 6 })).to.equal(2 * 6 * 3 * 5);
  });

  it('are those of one function of a program', () => {
    const product: FunctionSpec = {
      inputs: { x: float(batch, 3), w: float(3, 5) },
      build: ({ x, w }) => ({ y: tf.matMul(x!, w!) }),
    };
    const nothing: FunctionSpec = { inputs: { x: float(batch, 3) }, build: ({ x }) => ({ y: tf.neg(x!) }) };
    const program = buildProgram({ variables: [], functions: { product, nothing } });
    expect(productFlops(program, 'product')!({ batch: 2 })).to.equal(2 * 2 * 3 * 5);
    expect(productFlops(program, 'nothing')!({ batch: 2 })).to.equal(0);
  });

  it('are not known where a product is in a loop', () => {
    const flops = flopsOf({
      inputs: { x: float(batch, 3), w: float(3, 3), times: { dtype: 'int32', shape: [] } },
      build({ x, w, times }) {
        const [, y] = whileLoop(
          (i) => tf.less(i, times!),
          (i, value) => [tf.add(i, tf.scalar(1, 'int32')), tf.matMul(value, w!)],
          [tf.scalar(0, 'int32'), x!],
        );
        return { y };
      },
    });
    expect(flops).to.equal(undefined);
  });

  it('are not known where a size is no product of dimensions', () => {
    const flops = flopsOf({
      inputs: { x: float(batch, 3), w: float(3, 5) },
      build: ({ x, w }) => ({ y: tf.matMul(tf.concat([x!, tf.ones([1, 3])], 0), w!) }),
    });
    expect(flops).to.equal(undefined);
    expect(solveMonomial([NaN], [new Map()])).to.equal(undefined);
  });
});
