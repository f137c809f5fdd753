import { expect } from 'chai';
import { dimension } from './dimensions.js';
import type { TensorSpec } from './program.js';
import type { HostTensor } from './session.js';
import {
  integers,
  largestDifference,
  runEagerly,
  sample,
  stage,
  traceFunction,
  type TensorFunction,
} from './testing.js';
import { tf, type Tensor } from './tensorflow.js';

const [batch, sequence] = [dimension('batch'), dimension('sequence')];
/** x: float32 [B, S, 3]; ids: int32 [B, S], numbers below 5 */
const specs: TensorSpec[] = [
  { dtype: 'float32', shape: [batch, sequence, 3] },
  { dtype: 'int32', shape: [batch, sequence] },
];

const inputsOf = (b: number, s: number): HostTensor[] => [
  sample([b, s, 3], b),
  integers(
    [b, s],
    Array.from({ length: b * s }, (_, i) => (i * 7) % 5),
  ),
];

/** None of them a size that was traced. */
const shapes = [
  [1, 3],
  [4, 2],
  [9, 50],
] as const;

type SymbolicFunction = (x: Tensor, ids: Tensor, b: number, s: number) => Tensor[];

/** The gradient of the sum of squares of f with respect to x, as tfjs derives it. */
const gradientOf =
  (f: (x: Tensor, b: number, s: number) => Tensor): SymbolicFunction =>
  (x, _ids, b, s) => [tf.grad((given) => tf.sum(tf.square(f(given, b, s))))(x)];

const functions: Record<string, SymbolicFunction> = {
  'a reshape to tokens': (x, _ids, b, s) => [tf.reshape(x, [b * s, 3])],
  'a reshape that keeps two symbolic sizes': (x, _ids, b, s) => [tf.reshape(x, [b, 3, s])],
  'a reshape to a multiple of a size': (x, _ids, b, s) => [tf.reshape(x, [b, s * 3])],
  'a reshape to one axis': (x) => [tf.reshape(x, [-1])],
  'a slice without the first token': (x, _ids, b, s) => [tf.slice(x, [0, 1, 0], [b, s - 1, 2])],
  'a slice of the last token': (x, _ids, b, s) => [tf.slice(x, [0, s - 1, 0], [b, 1, 3])],
  'means over symbolic axes': (x) => [tf.mean(x, 0), tf.mean(x, 1, true), tf.mean(x, [0, 1]), tf.mean(x)],
  'sums divided by numbers of the sizes': (x, _ids, b, s) => [tf.div(tf.sum(x), b * s), tf.mul(tf.sum(x, 0), 1 / b)],
  'ones and zeros of symbolic shape': (_x, _ids, b, s) => [
    tf.ones([b, s]),
    tf.zeros([s, 2, b]),
    tf.ones([b], 'int32'),
    tf.fill([b, s], 0.25),
  ],
  'ones and zeros like a tensor': (x) => [tf.onesLike(x), tf.zerosLike(x)],
  'a range over a symbolic length': (_x, _ids, _b, s) => [
    tf.range(0, s, 1, 'int32'),
    tf.range(0, s),
    tf.range(1, s + 1),
  ],
  'a captured tensor that counts': (_x, _ids, _b, s) => [
    tf.tensor1d(Int32Array.from({ length: s }, (_, i) => i)),
    tf.tensor1d(Float32Array.from({ length: s }, (_, i) => i)),
  ],
  'a captured tensor of sizes': (_x, _ids, b, s) => [
    tf.tensor1d([b, s, 7, b * s + 2], 'int32'),
    tf.tensor2d([[b, 1], [0.5, -s]]), // prettier-ignore
    tf.scalar(-1 / (b * s)),
  ],
  'pads with symbolic amounts': (x, _ids, b, s) => [tf.pad(x, [[0, b], [s - 1, 1], [0, 0]], 9)], // prettier-ignore
  'a tile with a symbolic count': (x, _ids, b, s) => [tf.tile(tf.slice(x, [0, 0, 0], [b, 1, 3]), [1, s, 2])],
  'a broadcast to a symbolic shape': (x, _ids, b, s) => [tf.broadcastTo(tf.slice(x, [0, 0, 0], [1, 1, 3]), [b, s, 3])],
  'a concatenation along a symbolic axis': (x, _ids, b) => [tf.concat([x, x, tf.ones([b, 2, 3])], 1)],
  'one-hot vectors': (_x, ids) => [tf.oneHot(tf.cast(ids, 'int32'), 5)],
  'one-hot vectors of a symbolic width': (_x, _ids, _b, s) => [tf.oneHot(tf.range(0, s, 1, 'int32'), s)],
  'added axes': (x, ids) => [tf.expandDims(x, 0), tf.expandDims(ids, -1)],
  'dropped axes': (x, _ids, b) => [tf.squeeze(tf.slice(x, [0, 0, 0], [b, 1, 3]), [1])],
  'a stack': (x) => [tf.stack([x, x], 2)],
  'a transpose and a product of every pair of tokens': (x) => [tf.matMul(x, tf.transpose(x, [0, 2, 1]))],
  'a gather of rows': (x, ids, b, s) => [
    tf.gather(tf.reshape(x, [b * s, 3]), tf.reshape(tf.minimum(ids, tf.scalar(s - 1, 'int32')), [-1])),
  ],
  'segment sums into a symbolic count': (x, _ids, b, s) => [
    tf.unsortedSegmentSum(tf.reshape(x, [b * s, 3]), tf.tile(tf.range(0, b, 1, 'int32'), [s]).as1D(), b),
  ],
  'an arg-max over a symbolic axis': (x) => [tf.argMax(x, 1)],
  'a masked softmax': (x, ids) => [tf.softmax(tf.add(x, tf.mul(tf.expandDims(tf.cast(ids, 'float32'), -1), -1e9)))],

  'the gradient of a mean over the batch': gradientOf((x) => tf.mean(x, 0)),
  'the gradient of a mean over tokens': gradientOf((x) => tf.mean(x, [0, 1])),
  'the gradient of a mean over all': gradientOf((x) => tf.mean(tf.exp(x))),
  'the gradient of a sum kept': gradientOf((x) => tf.sum(x, 1, true)),
  'the gradient of a slice': gradientOf((x, b, s) => tf.slice(x, [0, 1, 0], [b, s - 1, 2])),
  'the gradient of a reshape': gradientOf((x, b, s) => tf.reshape(x, [s * 3, b])),
  'the gradient of pads': gradientOf((x, b) => tf.pad(x, [[0, b], [1, 1], [0, 0]], 9)), // prettier-ignore
  'the gradient of a broadcast': gradientOf((x) => tf.mul(x, tf.mean(x, [0, 2], true))),
  'the gradient of a softmax': gradientOf((x) => tf.softmax(x)),
  'the gradient of a product': gradientOf((x) => tf.matMul(x, x, false, true)),
  'the gradient of a gather': gradientOf((x, b, s) =>
    tf.gather(tf.reshape(x, [b * s, 3]), tf.tensor1d([1, 0, 1], 'int32')),
  ),
};

describe('a function traced with symbolic batch and sequence equals eager execution at other shapes:', () => {
  for (const [title, build] of Object.entries(functions)) {
    it(title, () => {
      const f: TensorFunction = (x, ids) => build(x, ids, x.shape[0], x.shape[1]!);
      const staged = stage(specs, f);
      try {
        for (const [b, s] of shapes) {
          const inputs = inputsOf(b, s);
          const expected = runEagerly(inputs, f);
          staged.run(...inputs).forEach((result, i) => {
            expect(largestDifference(result, expected[i]!), `[${b}, ${s}], output ${i}`).to.be.at.most(1e-6);
          });
        }
      } finally {
        staged.dispose();
      }
    });
  }

  it('three dimensions and their products', () => {
    const three: TensorSpec[] = [{ dtype: 'float32', shape: [batch, sequence, dimension('choices')] }];
    const f: TensorFunction = (x) => {
      const [b, s, c] = x.shape as [number, number, number];
      return [tf.reshape(x, [c * b, s]), tf.pad(x, [[0, b], [2, s + 3], [c, c + 3]])]; // prettier-ignore
    };
    const staged = stage(three, f);
    try {
      const input = sample([2, 3, 4]);
      const expected = runEagerly([input], f);
      staged.run(input).forEach((result, i) => {
        expect(largestDifference(result, expected[i]!)).to.equal(0);
      });
    } finally {
      staged.dispose();
    }
  });
});

describe('the ports of a traced function', () => {
  it('have -1 where a size is symbolic, and a number elsewhere', () => {
    const program = traceFunction(specs, (x, ids) => [tf.mean(x, 1), tf.expandDims(ids, 0)]);
    const { inputs, outputs } = program.signatures.f!;
    expect([inputs.in0!.shape, outputs.out0!.shape, outputs.out1!.shape]).to.deep.equal([
      [-1, -1, 3],
      [-1, 3],
      [1, -1, -1],
    ]);
  });
});

describe('a reshape with one symbolic size', () => {
  it('leaves that size to TensorFlow, without arithmetic on shapes', () => {
    const program = traceFunction(specs, (x) => [tf.reshape(x, [x.shape[0] * x.shape[1]!, 3])]);
    expect(program.nodes.map((node) => node.op)).to.not.include('Shape');
  });
});
