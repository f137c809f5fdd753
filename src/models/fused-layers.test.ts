import { expect } from 'chai';
import { hasFusedOps, multiplies } from '../graph/fused-ops.js';
import { attr, nodeBackend, tf, type HostTensor, type Precision, type Tensor } from '../graph/index.js';
import { dtypeOf, floats, largestDifference, numbersOf, sample, stage } from '../graph/testing.js';
import { activations } from './activations.js';
import { attention, joinedAttention, joinsAttention, type Three } from './attention.js';
import { seededDropout } from './dropout.js';
import { addLayerNorm, dense, layerNorm, product } from './layers.js';

type Layer = (...inputs: Tensor[]) => Tensor;

interface Layers {
  readonly title: string;
  readonly layer: Layer;
  /** Of float32, and the gradient is taken of each. */
  readonly inputs: readonly HostTensor[];
  readonly ops: readonly string[];
}

const dropoutSeed = (): Tensor => tf.tensor1d([-5, 77], 'int32');
const drop = (x: Tensor): Tensor => seededDropout(dropoutSeed())(x, 0.1);

/** 0, and -1e9 for every third place and one whole sentence. */
const paddingOf = (batch: number, length: number): HostTensor =>
  floats(
    [batch, 1, 1, length],
    Array.from({ length: batch * length }, (_, i) => (i % 3 === 2 || (i < length && batch > 2) ? -1e9 : 0)),
  );

const attentionOf = (batch: number, heads: number, queries: number, length: number, width = 8, rate = 0.1): Layers => {
  const padding = paddingOf(batch, length);
  const biasOf = (): Tensor => tf.tensor(padding.data, [...padding.shape]);
  return {
    title: `attention of ${queries} to ${length} tokens, ${heads} heads of ${width}, dropout ${rate}`,
    layer: (query, key, value) => attention(query, key, value, biasOf(), heads, seededDropout(dropoutSeed()), rate),
    inputs: [queries, length, length].map((size, i) => sample([batch * size, heads * width], i + 1)),
    ops: ['T4Attention', 'T4AttentionGrad'],
  };
};

/** Of states to themselves, all else from what they are multiplied with. */
const joinedAttentionOf = (batch: number, heads: number, length: number, width: number): Layers => {
  const padding = paddingOf(batch, length);
  const hidden = heads * width;
  return {
    title: `joined attention of ${length} tokens, ${heads} heads of ${width}`,
    layer: (states, ...given) => {
      const [bias, dropout] = [tf.tensor(padding.data, [...padding.shape]), seededDropout(dropoutSeed())];
      const [kernels, biases] = [given.slice(0, 3), given.slice(3)] as unknown as [Three, Three];
      if (joinsAttention({ weights: () => states, dropout, hasGradient: true })) {
        return joinedAttention(states, kernels, biases, bias, heads, dropout, 0.1);
      }
      const [query, key, value] = kernels.map((kernel, i) => dense(states, kernel, biases[i]!));
      return attention(query!, key!, value!, bias, heads, dropout, 0.1);
    },
    inputs: [
      // The gradient of the key's bias is 0 but for roundings: sums of terms that cancel, which have to be small.
      small([batch * length, hidden], 1),
      ...[2, 3, 4].map((seed) => small([hidden, hidden], seed)),
      ...[5, 6, 7].map((seed) => small([hidden], seed)),
    ],
    ops: [
      ...(multiplies.float32 ? ['T4MatMul'] : []),
      'T4JoinColumns',
      'T4JoinedAttention',
      'T4JoinedAttentionGrad',
      'T4BiasGrad',
      'T4SplitColumns',
    ],
  };
};

/** The gradient of a bias is part of a product that reads the same, where the process has products of its own. */
const withSums = (ops: readonly string[], multiplied: boolean): string[] =>
  ops.map((op) => (op === 'T4BiasGrad' && multiplied ? 'T4MatMulSums' : op));

/** So small that no probability is nearly 1. */
const small = (shape: readonly number[], seed: number): HostTensor =>
  floats(
    shape,
    numbersOf(sample(shape, seed)).map((x) => x / 8),
  );

/** Widths with and without a remainder of 16, rows that do and do not fill a thread's share. */
const shapes: readonly (readonly [number, number])[] = [
  [130, 768],
  [33, 37],
  [5, 16],
  [3, 7],
];

const cases: readonly Layers[] = [
  ...shapes.flatMap(([rows, width]): Layers[] => {
    const x = sample([rows, width]);
    const [gamma, beta] = [sample([width], 2), sample([width], 3)];
    return [
      {
        title: `layerNorm [${rows}, ${width}]`,
        layer: (given, g, b) => layerNorm(given, g, b, 1e-5),
        inputs: [x, gamma, beta],
        ops: ['T4LayerNorm', 'T4LayerNormGrad'],
      },
      {
        title: `addLayerNorm [${rows}, ${width}]`,
        layer: (given, residual, g, b) => addLayerNorm(given, residual, g, b, 1e-12),
        inputs: [x, sample([rows, width], 4), gamma, beta],
        ops: ['T4AddLayerNorm', 'T4LayerNormGrad'],
      },
      { title: `gelu [${rows}, ${width}]`, layer: activations.gelu, inputs: [x], ops: ['T4Gelu', 'T4GeluGrad'] },
      {
        title: `gelu_new [${rows}, ${width}]`,
        layer: activations.gelu_new,
        inputs: [x],
        ops: ['T4Gelu', 'T4GeluGrad'],
      },
      { title: `dropout [${rows}, ${width}]`, layer: drop, inputs: [x], ops: ['T4Dropout', 'T4DropoutGrad'] },
    ];
  }),
  attentionOf(3, 12, 128, 128),
  attentionOf(3, 3, 5, 7),
  attentionOf(2, 4, 1, 19),
  attentionOf(1, 2, 150, 150, 64),
  attentionOf(2, 2, 40, 40, 33, 0),
  attentionOf(1, 2, 300, 300, 16),
  joinedAttentionOf(2, 4, 11, 8),
  joinedAttentionOf(3, 3, 40, 16),
];

/** The layer's result, and its gradients when the result is weighted unevenly. */
function run(
  { layer, inputs }: Pick<Layers, 'layer' | 'inputs'>,
  fused: boolean,
  precision: Precision = 'fp32',
): { results: HostTensor[]; ops: Set<string>; narrow: string[] } {
  const specs = inputs.map((input) => ({ dtype: dtypeOf(input), shape: input.shape }));
  const staged = stage(
    specs,
    (...tensors) => {
      const weighted = (...given: Tensor[]): Tensor => {
        const y = layer(...given);
        return tf.sum(tf.mul(y, tf.cos(tf.reshape(tf.range(0, y.size), y.shape))));
      };
      return [layer(...tensors), ...tf.grads(weighted)(tensors)];
    },
    { fused, precision },
  );
  try {
    const ops = staged.program.nodes.map(({ op }) => op).filter((op) => op.startsWith('T4'));
    const results = staged.run(...inputs);
    const ports = Object.values(staged.program.signatures.f!.outputs);
    expect(ports.map(({ shape }) => shape)).to.deep.equal(results.map(({ shape }) => shape));
    const bfloat16 = attr.type('bfloat16');
    const narrow = staged.program.nodes.flatMap(({ op, attrs }) => (attrs.T === bfloat16 ? [op] : []));
    return { results, ops: new Set(ops), narrow };
  } finally {
    staged.dispose();
  }
}

const magnitude = (tensor: HostTensor): number => numbersOf(tensor).reduce((most, x) => Math.max(most, Math.abs(x)), 1);

describe('a fused layer', () => {
  it('is there on a CPU', () => {
    expect(hasFusedOps).to.equal(!nodeBackend.isUsingGpuDevice);
  });

  for (const layers of cases) {
    it(`${layers.title} has the values and gradients of TensorFlow's own ops`, () => {
      const [got, expected] = [run(layers, true), run(layers, false)];
      expect([...expected.ops]).to.deep.equal([]);
      expect([...got.ops]).to.have.members(withSums(layers.ops, multiplies.float32));
      got.results.forEach((tensor, i) => {
        const difference = largestDifference(tensor, expected.results[i]!) / magnitude(expected.results[i]!);
        expect(difference, i === 0 ? 'values' : `input ${i - 1}`).to.be.below(2e-6);
      });
    });
  }

  const denseOf = (rows: number, width: number, layer: Layer) => {
    const [first, second] = [sample([24, width], 5), sample([width, 8], 6)];
    const bias = sample([width], 7);
    return {
      layer: (x: Tensor, w1: Tensor, b: Tensor, w2: Tensor) => product(layer(dense(x, w1, b)), w2),
      inputs: [sample([rows, 24]), first, bias, second],
    };
  };
  /** Attention to itself, with a product before each of its inputs and behind it. */
  const attentionBetweenProducts = (batch: number, heads: number, length: number, width: number) => {
    const given = attentionOf(batch, heads, length, length, width);
    const hidden = heads * width;
    return {
      ...given,
      layer: (x: Tensor, toQuery: Tensor, toKey: Tensor, toValue: Tensor, out: Tensor) =>
        product(given.layer(product(x, toQuery), product(x, toKey), product(x, toValue)), out),
      inputs: [
        sample([batch * length, 24]),
        ...[5, 6, 7].map((seed) => small([24, hidden], seed)),
        small([hidden, 8], 8),
      ],
    };
  };
  const joinedAttention33 = joinedAttentionOf(2, 4, 33, 8);
  const narrowCases = [
    { title: 'gelu', ...denseOf(33, 37, activations.gelu), ops: ['T4Gelu', 'T4GeluGrad', 'T4BiasGrad'] },
    { title: 'gelu_new', ...denseOf(40, 48, activations.gelu_new), ops: ['T4Gelu', 'T4GeluGrad'] },
    { title: 'dropout', ...denseOf(33, 30, drop), ops: ['T4Dropout', 'T4DropoutGrad'] },
    {
      title: 'layerNorm',
      ...denseOf(33, 37, (x) => layerNorm(x, tf.ones([37]), tf.zeros([37]), 1e-12)),
      ops: ['T4LayerNorm'],
    },
    attentionBetweenProducts(3, 12, 128, 8),
    attentionBetweenProducts(3, 3, 7, 5),
    attentionBetweenProducts(2, 2, 65, 7),
    attentionBetweenProducts(1, 2, 200, 64),
    {
      ...joinedAttention33,
      layer: (out: Tensor, ...given: Tensor[]) => product(joinedAttention33.layer(...given), out),
      inputs: [small([32, 8], 8), ...joinedAttention33.inputs],
    },
  ];
  for (const { title, ops, ...given } of narrowCases) {
    it(`${title} between products is computed on bfloat16 values`, () => {
      const exact = run(given, true).results;
      const [got, plain] = [run(given, true, 'bf16'), run(given, false, 'bf16')];
      // A processor may multiply float32 by T4MatMul and bfloat16 by TensorFlow's MatMul.
      const narrow = ops.filter((op) => op !== 'T4MatMul' || multiplies.bfloat16);
      expect(got.narrow).to.include.members(withSums(narrow, multiplies.bfloat16));
      exact.forEach((tensor, i) => {
        // As far from float32 as the products alone bring it, give or take a rounding more.
        const most = magnitude(tensor);
        const of = ({ results }: typeof got): number => largestDifference(results[i]!, tensor) / most;
        expect(of(got), `result ${i}`).to.be.below(0.05);
        expect(of(got), `result ${i}`).to.be.below(3 * of(plain) + 0.002);
      });
    });
  }

  for (const [batch, heads, length] of [
    [2, 12, 40],
    [3, 5, 9],
  ] as const) {
    it(`drops what TensorFlow's random numbers say, to the bit, with ${heads} heads`, () => {
      const inputs = [sample([batch, heads, length, length])];
      const of = (fused: boolean): number[] => numbersOf(run({ layer: drop, inputs }, fused).results[0]!);
      expect(of(true)).to.deep.equal(of(false));
    });
  }

  it('gelu is as exact as float32 allows, over the whole range', () => {
    const xs = Array.from({ length: 4001 }, (_, i) => (i - 2000) / 100);
    const { results } = run({ layer: activations.gelu_new, inputs: [floats([xs.length], xs)] }, true);
    const c = Math.sqrt(2 / Math.PI);
    xs.forEach((x, i) => {
      const expected = 0.5 * x * (1 + Math.tanh(c * (x + 0.044715 * x ** 3)));
      expect(Math.abs(Number(results[0]!.data[i]) - expected)).to.be.at.most(3e-7 * Math.max(1, Math.abs(x)));
    });
  });

  it('does not compute what only a gradient would need', () => {
    const keeps = (build: (x: Tensor) => Tensor[]): unknown[] => {
      const staged = stage([{ dtype: 'float32', shape: [3, 16] }], (x) => build(x), { fused: true });
      const values = staged.program.nodes.flatMap(({ attrs }) => (attrs.keep === undefined ? [] : [attrs.keep]));
      staged.run(sample([3, 16]));
      staged.dispose();
      return values.map((value) => (value.kind === 'bool' ? value.value : undefined));
    };
    const forward = (x: Tensor): Tensor => layerNorm(activations.gelu(x), tf.ones([16]), tf.zeros([16]), 1e-12);
    expect(keeps((x) => [forward(x)])).to.deep.equal([false]);
    expect(keeps((x) => [tf.grad((given: Tensor) => tf.sum(tf.square(forward(given))))(x)])).to.deep.equal([true]);
  });

  it('keeps a value that is not a number', () => {
    const x = sample([4, 33]);
    (x.data as Float32Array)[40] = NaN;
    for (const layer of [
      activations.gelu,
      activations.gelu_new,
      (given: Tensor) => layerNorm(given, tf.ones([33]), tf.zeros([33]), 1e-12),
    ]) {
      const { results } = run({ layer: layer, inputs: [x] }, true);
      expect(Number(results[0]!.data[40])).to.be.NaN;
    }
  });
});
