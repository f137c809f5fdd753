import { expect } from 'chai';
import {
  floats,
  integers,
  largestDifference,
  numbersOf,
  runEagerly,
  sample,
  stage,
  traceFunction,
} from '../graph/testing.js';
import { tf, type HostTensor, type Tensor } from '../graph/index.js';
import { attention } from './attention.js';
import { noDropout, seededDropout } from './dropout.js';
import { dense, embedding, firstRows, layerNorm, scale, softmax } from './layers.js';
import { meanCrossEntropy } from './losses.js';

type Layer = (...inputs: Tensor[]) => Tensor;

/** The layer's result, and its gradients when the result is weighted unevenly. */
function withGradients(inputs: readonly HostTensor[], layer: Layer): HostTensor[] {
  return runEagerly(inputs, (...tensors) => {
    const weighted = (...given: Tensor[]): Tensor => {
      const y = layer(...given);
      return tf.sum(tf.mul(y, tf.cos(tf.reshape(tf.range(0, y.size), y.shape))));
    };
    return [layer(...tensors), ...tf.grads(weighted)(tensors)];
  });
}

interface Case {
  title: string;
  inputs: HostTensor[];
  layer: Layer;
  /** The same in tfjs's own ops, whose gradients tfjs knows. */
  reference: Layer;
}

const ids = integers([2, 3], [4, 0, 4, 1, 4, 0]);
const labels = integers([3], [2, 0, 4]);
const bias = (): Tensor => tf.tensor([0, 0, -1e9, 0, -1e9, -1e9], [2, 1, 1, 3]);

function plainLayerNorm(x: Tensor, gamma: Tensor, beta: Tensor): Tensor {
  const { mean, variance } = tf.moments(x, -1, true);
  return tf.add(tf.mul(tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, 0.01))), gamma), beta);
}

function plainSoftmax(x: Tensor): Tensor {
  const exponentials = tf.exp(tf.sub(x, tf.max(x, -1, true)));
  return tf.div(exponentials, tf.sum(exponentials, -1, true));
}

/** Of 2 sequences of 3 tokens, 5 heads of 4. */
function plainAttention(...inputs: Tensor[]): Tensor {
  const [query, key, value] = inputs.map((x) => tf.transpose(tf.reshape(x, [2, 3, 5, 4]), [0, 2, 1, 3]));
  const scores = tf.div(tf.matMul(query!, tf.transpose(key!, [0, 1, 3, 2])), 2);
  const context = tf.matMul(plainSoftmax(tf.add(scores, bias())), value!);
  return tf.reshape(tf.transpose(context, [0, 2, 1, 3]), [6, 20]);
}

const cases: Case[] = [
  {
    title: 'dense',
    inputs: [sample([7, 5]), sample([5, 3], 2), sample([3], 3)],
    layer: (x, kernel, b) => dense(x, kernel, b),
    reference: (x, kernel, b) => tf.add(tf.matMul(x, kernel), b),
  },
  {
    title: 'layerNorm',
    inputs: [sample([7, 5]), sample([5], 2), sample([5], 3)],
    layer: (x, gamma, beta) => layerNorm(x, gamma, beta, 0.01),
    reference: plainLayerNorm,
  },
  { title: 'softmax', inputs: [sample([2, 3, 5])], layer: softmax, reference: plainSoftmax },
  {
    title: 'embedding',
    inputs: [sample([6, 4])],
    layer: (table) => embedding(table, tf.tensor(ids.data, [2, 3], 'int32')),
    reference: (table) => tf.matMul(tf.oneHot(tf.tensor1d([4, 0, 4, 1, 4, 0], 'int32'), 6, 1, 0, 'float32'), table),
  },
  {
    title: 'firstRows',
    inputs: [sample([6, 4])],
    layer: (table) => firstRows(table, 2),
    reference: (table) => tf.slice(table, [0, 0], [2, 4]),
  },
  { title: 'scale', inputs: [sample([4])], layer: (x) => scale(x, -2.5), reference: (x) => tf.mul(x, -2.5) },
  {
    title: 'attention with padding',
    inputs: [sample([2 * 3, 20]), sample([2 * 3, 20], 2), sample([2 * 3, 20], 3)],
    layer: (query, key, value) => attention(query, key, value, bias(), 5, noDropout, 0),
    reference: plainAttention,
  },
  {
    title: 'meanCrossEntropy',
    inputs: [sample([3, 5])],
    layer: (logits) => meanCrossEntropy(logits, tf.tensor(labels.data, [3], 'int32')),
    reference: (logits) => {
      const targets = tf.oneHot(tf.tensor1d([2, 0, 4], 'int32'), 5, 1, 0, 'float32');
      return tf.neg(tf.mean(tf.sum(tf.mul(targets, tf.log(plainSoftmax(logits))), -1)));
    },
  },
];

describe('the layer', () => {
  for (const { title, inputs, layer, reference } of cases) {
    it(`${title} has the values and gradients of the same in tfjs's own ops`, () => {
      const [got, expected] = [withGradients(inputs, layer), withGradients(inputs, reference)];
      expect(got).to.have.length(1 + inputs.length);
      got.forEach((tensor, i) => {
        expect(largestDifference(tensor, expected[i]!), i === 0 ? 'values' : `input ${i - 1}`).to.be.below(2e-6);
      });
    });
  }

  it('attention ignores padding altogether', () => {
    const [query, key, value] = [sample([3, 8]), sample([3, 8], 2), sample([3, 8], 3)];
    const last = (): Tensor => tf.tensor([0, 0, -1e9], [1, 1, 1, 3]);
    const attend = (tensors: readonly HostTensor[]): HostTensor =>
      runEagerly(tensors, (q, k, v) => [attention(q, k, v, last(), 2, noDropout, 0)])[0]!;
    const changed = numbersOf(value);
    changed.fill(1e4, 2 * 8);
    const other = floats(value.shape, changed);
    expect(largestDifference(attend([query, key, other]), attend([query, key, value]))).to.equal(0);
  });
});

describe('dropout', () => {
  const seed = (run: number, step: number): HostTensor => integers([2], [run, step]);
  const ones = (...shape: number[]): HostTensor => {
    const size = shape.reduce((a, b) => a * b, 1);
    return floats(shape, Array<number>(size).fill(1));
  };

  /** What `calls` calls in one forward pass make of x. */
  const drop = (x: HostTensor, rate: number, at: HostTensor, calls = 1): HostTensor[] =>
    runEagerly([x, at], (tensor, s) => {
      const dropout = seededDropout(s);
      return Array.from({ length: calls }, () => dropout(tensor, rate));
    });

  const share = (tensor: HostTensor, test: (value: number) => boolean): number =>
    numbersOf(tensor).filter(test).length / tensor.data.length;

  for (const [title, shape] of [
    ['of a matrix', [500, 64]],
    ['of a matrix of odd width', [500, 63]],
    ['of attention weights', [5, 12, 24, 24]],
  ] as const) {
    for (const rate of [0.1, 0.5]) {
      it(`${title} drops ${rate} of the elements and keeps the expectation`, () => {
        const [got] = drop(ones(...shape), rate, seed(1, 2));
        const deviation = Math.sqrt((rate * (1 - rate)) / got!.data.length);
        expect(share(got!, (value) => value === 0)).to.be.closeTo(rate, 4 * deviation);
        const kept = Math.max(...numbersOf(got!));
        expect(share(got!, (value) => value === 0 || value === kept)).to.equal(1);
        expect(kept).to.be.closeTo(1 / (1 - rate), 1e-4);
      });
    }
  }

  it('repeats its mask for the same seed and step', () => {
    const x = ones(40, 64);
    expect(drop(x, 0.3, seed(1, 2))).to.deep.equal(drop(x, 0.3, seed(1, 2)));
  });

  /** The share of elements on which two masks agree: 0.58 where they are independent. */
  const agreement = (a: HostTensor, b: HostTensor): number => {
    let agreed = 0;
    for (let i = 0; i < a.data.length; i++) if ((a.data[i] === 0) === (b.data[i] === 0)) agreed++;
    return agreed / a.data.length;
  };

  it('draws independent masks for another step, another run and the next call', () => {
    const x = ones(100, 64);
    const [first, next] = drop(x, 0.3, seed(1, 2), 2);
    const others = [drop(x, 0.3, seed(1, 3))[0]!, drop(x, 0.3, seed(2, 2))[0]!, next!];
    for (const other of others) expect(agreement(first!, other)).to.be.closeTo(0.58, 0.03);
  });

  it('draws independent masks for neighbouring elements and for the halves of a row', () => {
    const [mask] = drop(ones(200, 64), 0.3, seed(1, 2));
    const values = numbersOf(mask!);
    const shifted = (by: number): HostTensor => floats(mask!.shape, [...values.slice(by), ...values.slice(0, by)]);
    for (const by of [1, 32, 64]) expect(agreement(mask!, shifted(by))).to.be.closeTo(0.58, 0.025);
  });

  it('with rate 0 is the identity, and adds no op', () => {
    const x = sample([3, 4]);
    expect(drop(x, 0, seed(1, 2))[0]).to.deep.equal(x);
    const specs = [
      { dtype: 'float32', shape: [3, 4] },
      { dtype: 'int32', shape: [2] },
    ] as const;
    const { nodes } = traceFunction(specs, (tensor, s) => [seededDropout(s)(tensor, 0)]);
    expect(nodes.map(({ op }) => op)).to.deep.equal(['Placeholder', 'Placeholder', 'Identity']);
  });

  it('has the same mask forward and backward, and traced as eager; two calls have two', () => {
    const specs = [
      { dtype: 'float32', shape: [6, 8] },
      { dtype: 'int32', shape: [2] },
    ] as const;
    const f = (x: Tensor, s: Tensor): Tensor[] => {
      const { value, grad } = tf.valueAndGrad((given: Tensor) => {
        const dropout = seededDropout(s);
        return tf.sum(tf.add(dropout(given, 0.5), tf.mul(dropout(given, 0.5), 10)));
      })(x);
      return [value, grad];
    };
    const inputs = [sample([6, 8]), seed(5, 6)];
    const staged = stage(specs, f);
    const [traced, eager] = [staged.run(...inputs), runEagerly(inputs, f)];
    staged.dispose();
    traced.forEach((tensor, i) => {
      expect(largestDifference(tensor, eager[i]!)).to.be.below(1e-4);
    });
    const [first, second] = drop(ones(6, 8), 0.5, seed(5, 6), 2).map(numbersOf);
    const masks = first!.map((value, i) => value + 10 * second![i]!);
    expect(largestDifference(traced[1]!, floats([6, 8], masks))).to.be.below(1e-6);
    expect(new Set(numbersOf(traced[1]!)).size).to.equal(4);
    const draws = staged.program.nodes.filter(({ op }) => op.startsWith('StatelessRandom'));
    expect(draws).to.have.length(2);
  });
});
