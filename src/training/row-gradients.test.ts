import { expect } from 'chai';
import { createRandom } from '../data/random.js';
import { hasFusedOps } from '../graph/fused-ops.js';
import {
  buildProgram,
  dimension,
  openSession,
  tf,
  type HostTensor,
  type Tensor,
  type Tensor1D,
} from '../graph/index.js';
import { opaque } from '../graph/ops.js';
import { floats, integers, numbersOf, sample } from '../graph/testing.js';
import { modelConfigSchema, withDropout } from '../models/model-config.js';
import { sequenceClassifier } from '../models/network.js';
import { adafactor } from './adafactor.js';
import { adamW, momentNames, type AdamSettings } from './adamw.js';
import { fgm } from './adversary.js';
import { lossAndGradients } from './gradients.js';
import { lamb } from './lamb.js';
import { clipFactor, factorInput, globalNorm, type Optimizer } from './optimizer.js';
import { trainingProgram } from './program.js';
import { plainStep, type Techniques } from './techniques.js';

// The gradient of a large table is kept as the rows of the tokens (graph/row-gradients.ts); the arithmetic of models that
// are trained is compared with PyTorch in test/interop, with small tables.

const settings: AdamSettings = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 };
const rows = 4099;
const scalar = { dtype: 'float32', shape: [] } as const;
const tokens = { dtype: 'int32', shape: [dimension('batch'), dimension('sequence')] } as const;

/** The same tensor, of which only ops of TensorFlow's own know what it is. */
const keptDense = (dense: boolean, gradient: Tensor): Tensor => (dense ? opaque(gradient) : gradient);

const opsOf = ({ nodes }: { readonly nodes: readonly { readonly op: string }[] }): Set<string> =>
  new Set(nodes.map(({ op }) => op));
const asRows = ['T4AdamWRows', 'T4RowsL2Loss'];

interface TableStep {
  readonly ids: readonly number[];
  readonly rate: number;
}

/** Steps of a table [rows, width] with gradients of tokens without a pattern. */
function takeTableSteps(
  steps: readonly TableStep[],
  width: number,
  dense: boolean,
  optimizer: Optimizer = adamW(settings),
) {
  const table = { name: 'table', shape: [rows, width], dtype: 'float32' } as const;
  const variables = [table, ...optimizer.state(table)];
  const program = buildProgram({
    variables,
    fused: true,
    accessible: variables.map(({ name }) => name),
    functions: {
      step: {
        inputs: {
          ...Object.fromEntries(optimizer.factorNames.map((name) => [factorInput(name), scalar])),
          ids: { dtype: 'int32', shape: [dimension('batch')] },
          dy: { dtype: 'float32', shape: [dimension('batch'), width] },
        },
        build(inputs, scope) {
          const gradient = keptDense(dense, tf.unsortedSegmentSum(inputs.dy!, inputs.ids as Tensor1D, rows));
          const factors = optimizer.factorNames.map((name) => [name, inputs[factorInput(name)]!] as const);
          const update = { name: 'table', gradient, decayed: true };
          optimizer.apply(scope, [update], Object.fromEntries(factors), tf.scalar(0.3));
          return { norm: globalNorm([gradient]) };
        },
      },
    },
  });
  const session = openSession(program);
  try {
    session.run('assign/table', { value: sample(table.shape) });
    for (const name of momentNames('table')) session.run(`assign/${name}`, { value: zeros(table.shape) });
    const norms = steps.map(({ ids, rate }, step) => {
      const factors = Object.entries(optimizer.factors(rate, step + 1));
      const { norm } = session.run('step', {
        ...Object.fromEntries(factors.map(([name, value]) => [factorInput(name), floats([], [value])])),
        ids: integers([ids.length], ids),
        dy: sample([ids.length, width], step + 2),
      });
      return Number(norm!.data[0]);
    });
    const values = variables.map(({ name }) => bitsOf(session.run(`fetch/${name}`, {}).value!));
    return { ops: opsOf(program), norms, values };
  } finally {
    session.dispose();
  }
}

const zeros = (shape: readonly number[]): HostTensor => ({ shape, data: new Float32Array(shape[0]! * shape[1]!) });
/** Also of what is not a number, and of the sign of 0. */
const bitsOf = ({ data }: HostTensor): Buffer => Buffer.from((data as Float32Array).slice().buffer);

function randomIds(count: number, seed: number, below = rows): number[] {
  const random = createRandom(seed);
  return Array.from({ length: count }, () => random(below));
}

const padding = (count: number): number[] => new Array<number>(count).fill(0);

const tableSteps: readonly TableStep[] = [
  { ids: [...randomIds(700, 1), ...padding(300)], rate: 0.1 },
  { ids: randomIds(400, 2, 30), rate: 0.05 },
  { ids: [4098, 7, -1, 7, 4098, 7, -3, 0], rate: 0.1 },
  { ids: [5], rate: 0 },
];

const words = 5000;
const network = sequenceClassifier(
  withDropout(
    modelConfigSchema.parse({
      vocab_size: words,
      hidden_size: 24,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      intermediate_size: 11,
      initializer_range: 0.3,
    }),
    0,
  ),
  3,
);

/** Losses and norms of a model's steps, whose gradients are clipped. */
function takeModelSteps(dense: boolean): { ops: Set<string>; numbers: number[] } {
  const optimizer: Optimizer = adamW(settings);
  const weights = network.variables.map(({ name, shape }) => ({ name, shape, dtype: 'float32' as const }));
  const variables = [...weights, ...weights.flatMap((weight) => optimizer.state(weight))];
  const program = buildProgram({
    variables,
    fused: true,
    accessible: variables.map(({ name }) => name),
    functions: {
      step: {
        inputs: {
          ...Object.fromEntries(optimizer.factorNames.map((name) => [factorInput(name), scalar])),
          inputIds: tokens,
          tokenTypeIds: tokens,
          attentionMask: tokens,
          labels: { dtype: 'int32', shape: [dimension('batch')] },
          dropoutSeed: { dtype: 'int32', shape: [2] },
        },
        build(inputs, scope) {
          const { loss, gradients: own } = lossAndGradients(network, inputs, scope);
          const gradients = own.map((gradient) => keptDense(dense, gradient));
          const norm = globalNorm(gradients);
          optimizer.apply(
            scope,
            weights.map(({ name }, i) => ({ name, gradient: gradients[i]!, decayed: true })),
            Object.fromEntries(optimizer.factorNames.map((name) => [name, inputs[factorInput(name)]!])),
            clipFactor(norm, 0.5),
          );
          return { loss, norm };
        },
      },
    },
  });
  const session = openSession(program);
  try {
    variables.forEach(({ name, shape }, i) => {
      const small = sample(shape, i + 1).data as Float32Array;
      const value = i < weights.length ? small.map((x) => x / 4) : small.fill(0);
      session.run(`assign/${name}`, { value: { shape, data: value } });
    });
    const [batch, length] = [5, 9];
    const shape = [batch, length];
    const numbers = [1, 2, 3, 4].flatMap((t) => {
      // Words of the first 50 come again and again; the last sentence is padding but for one word.
      const ids = randomIds(batch * length, t, t % 2 === 0 ? 50 : words);
      const mask = ids.map((_, i) => (i <= (batch - 1) * length ? 1 : 0));
      const { loss, norm } = session.run('step', {
        ...Object.fromEntries(
          Object.entries(optimizer.factors(0.01, t)).map(([name, value]) => [factorInput(name), floats([], [value])]),
        ),
        inputIds: integers(
          shape,
          ids.map((id, i) => id * mask[i]!),
        ),
        tokenTypeIds: integers(shape, padding(batch * length)),
        attentionMask: integers(shape, mask),
        labels: integers([batch], [0, 1, 2, 1, 0]),
        dropoutSeed: integers([2], [1, t]),
      });
      return [loss!, norm!].map((tensor) => numbersOf(tensor)[0]!);
    });
    return { ops: opsOf(program), numbers };
  } finally {
    session.dispose();
  }
}

describe('the gradient of a large table, as rows of tokens,', function () {
  before(function () {
    if (!hasFusedOps) this.skip();
  });

  for (const width of [32, 19]) {
    for (const [what, more] of [
      ['', {}],
      [', without weight decay', { weightDecay: 0 }],
      [', without an epsilon, so that 0 / 0 is taken', { epsilon: 0 }],
    ] as const) {
      it(`gives AdamW's steps to the bit: width ${width}${what}`, () => {
        const of = (dense: boolean) => takeTableSteps(tableSteps, width, dense, adamW({ ...settings, ...more }));
        const [got, expected] = [of(false), of(true)];
        expect(got.ops).to.include.all.keys(asRows).and.not.include('UnsortedSegmentSum');
        expect(expected.ops).to.include('UnsortedSegmentSum').and.not.include.any.keys(asRows);
        got.values.forEach((bits, i) => {
          expect(bits.equals(expected.values[i]!), ['table', 'm', 'v'][i]).to.equal(true);
        });
        got.norms.forEach((norm, i) => {
          expect(norm / expected.norms[i]!, `norm ${i}`).to.be.closeTo(1, 1e-6);
        });
      });
    }
  }

  it('trains a model as the dense one does', () => {
    const [got, expected] = [takeModelSteps(false), takeModelSteps(true)];
    expect(got.ops).to.include.all.keys(asRows);
    expect(expected.ops).not.to.include.any.keys(asRows);
    got.numbers.forEach((number, i) => {
      expect(number / expected.numbers[i]!, `number ${i}`).to.be.closeTo(1, 1e-5);
    });
  });

  it('is an error where a token names a row that there is not', () => {
    const beyond = [{ ids: [3, rows], rate: 0.1 }];
    expect(() => takeTableSteps(beyond, 8, false)).to.throw('an id is not below the number of rows');
  });
});

describe('the gradient of a model with a large vocabulary', () => {
  const opsWith = (techniques: Partial<Techniques>, optimizer: Optimizer = adamW(settings)): Set<string> => {
    const all = { ...plainStep, ...techniques };
    return opsOf(trainingProgram({ network, precision: 'bf16', optimizer, maxGradNorm: 1, techniques: all }));
  };
  const wordTable = 'bert/embeddings/word_embeddings';

  for (const [title, techniques] of [
    ['the plain step', {}],
    ['an average', { emaDecay: 0.9 }],
    ['recomputed layers', { recompute: true }],
    ['a learning rate of its own', { rateFactors: new Map([[wordTable, 0.5]]) }],
  ] as const) {
    it(`is taken as rows with ${title}`, function () {
      if (!hasFusedOps) this.skip();
      expect(opsWith(techniques)).to.include.all.keys(asRows);
    });
  }

  const dense: readonly [title: string, techniques: Partial<Techniques>, optimizer?: Optimizer][] = [
    ['FGM', { adversary: fgm(1) }],
    ['PGD', { adversary: { steps: 2, size: 0.3, radius: 1 } }],
    ['VAT', { virtualAdversary: { epsilon: 1, xi: 10, steps: 1, weight: 1 } }],
    ['R-Drop', { rDrop: 1 }],
    ['a gradient penalty', { gradientPenalty: 1 }],
    ['several batches a step', { gradientAccumulation: 2 }],
    ['LAMB', {}, lamb(settings)],
    ['Adafactor', {}, adafactor({ beta1: 0, clipThreshold: 1, scaleParameter: false, weightDecay: 0 })],
  ];
  for (const [title, techniques, optimizer] of dense) {
    it(`is dense with ${title}`, () => {
      const ops = opsWith(techniques, optimizer);
      expect(ops).to.include('UnsortedSegmentSum').and.not.include.any.keys(asRows);
    });
  }

  it('is not there where the table is not trained', () => {
    expect(opsWith({ frozen: new Set([wordTable]) })).not.to.include.any.keys(asRows);
  });
});
