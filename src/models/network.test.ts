import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { z } from 'zod';
import { floats, integers, largestDifference, numbersOf, runEagerly, sample } from '../graph/testing.js';
import {
  buildProgram,
  dimension,
  openSession,
  type FunctionSpec,
  type HostTensor,
  type Program,
  type Session,
} from '../graph/index.js';
import { lossAndGradients } from '../training/gradients.js';
import { bertConfigSchema } from './bert-config.js';
import { noDropout } from './dropout.js';
import type { Weights } from './layers.js';
import { withDropout } from './model-config.js';
import { sequenceClassifier } from './network.js';
import { eagerly, encoderInputs, halved, inputSpecs, lengthened, only, passOf, table } from './testing.js';

/** All sizes differ, so that a swapped axis fails. */
const config = withDropout(
  bertConfigSchema.parse({
    vocab_size: 31,
    hidden_size: 8,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    intermediate_size: 11,
    max_position_embeddings: 29,
    type_vocab_size: 3,
  }),
  0,
);
const numLabels = 5;
const network = sequenceClassifier(config, numLabels);
const dropping = sequenceClassifier(withDropout(config, 0.4), numLabels);
const specs = network.variables;

const trainSpecs = {
  ...inputSpecs,
  labels: { dtype: 'int32', shape: [dimension('batch')] },
  dropoutSeed: { dtype: 'int32', shape: [2] },
} as const;

const predict: FunctionSpec = {
  inputs: inputSpecs,
  build: (inputs, variables) => ({
    logits: network.logits(passOf(variables), encoderInputs(inputs)),
  }),
};

const gradients: FunctionSpec = {
  inputs: trainSpecs,
  build(inputs, variables) {
    const { loss, gradients: list } = lossAndGradients(dropping, inputs, variables);
    return { loss, ...Object.fromEntries(specs.map(({ name }, i) => [name, list[i]!])) };
  },
};

const values = new Map<string, HostTensor>(
  specs.map(({ name, shape }, i) => [name, halved(sample(shape, i + 3))] as const),
);

/** Sequences of different lengths, padded on the right to `length`. */
function batchOf(size: number, length: number): Record<string, HostTensor> {
  return {
    inputIds: table(size, length, (row, column) => (row * 17 + column * 5 + 1) % 31),
    tokenTypeIds: table(size, length, (row, column) => (row + column) % 3),
    attentionMask: table(size, length, (row, column) =>
      column === 0 || column < length - ((row * 2) % length) ? 1 : 0,
    ),
    labels: integers(
      [size],
      Array.from({ length: size }, (_, row) => row % numLabels),
    ),
    dropoutSeed: integers([2], [3, size]),
  };
}

describe('the BERT classifier', () => {
  let program: Program;
  let session: Session;

  before(() => {
    program = buildProgram({
      variables: specs.map(({ name, shape }) => ({ name, shape, dtype: 'float32' as const })),
      functions: { predict, gradients },
      accessible: specs.map(({ name }) => name),
    });
    session = openSession(program);
    for (const [name, value] of values) session.run(`assign/${name}`, { value });
  });

  after(() => {
    session.dispose();
  });

  // None of them a shape that was traced.
  const shapes = [
    [3, 7],
    [1, 1],
    [13, 29],
  ] as const;
  for (const [size, length] of shapes) {
    it(`gives the same logits traced and eager, for a batch of ${size} x ${length}`, () => {
      const inputs = only(batchOf(size, length), inputSpecs);
      const got = session.run('predict', inputs).logits!;
      expect(got.shape).to.deep.equal([size, numLabels]);
      expect(largestDifference(got, eagerly(predict, inputs, values).logits!)).to.be.below(1e-6);
    });

    it(`gives the same loss and gradients traced and eager, with dropout, for a batch of ${size} x ${length}`, () => {
      const inputs = batchOf(size, length);
      const [got, expected] = [session.run('gradients', inputs), eagerly(gradients, inputs, values)];
      expect(Object.keys(got)).to.have.members(Object.keys(expected));
      for (const [name, value] of Object.entries(expected)) {
        expect(largestDifference(got[name]!, value), name).to.be.below(1e-6);
      }
    });
  }

  it('reads every variable it declares, and no other', () => {
    const read = new Set<string>();
    eagerly(
      {
        inputs: inputSpecs,
        build: (inputs, variables) => {
          const weights: Weights = (name) => {
            read.add(name);
            return variables.read(name);
          };
          return { logits: network.logits({ weights, dropout: noDropout }, encoderInputs(inputs)) };
        },
      },
      batchOf(2, 3),
      values,
    );
    expect([...read].sort()).to.deep.equal(specs.map(({ name }) => name).sort());
    expect(new Set(specs.map(({ name }) => name)).size).to.equal(specs.length);
  });

  it('gives the same logits with more padding, whatever the padding holds', () => {
    const [size, length, longer] = [3, 7, 29];
    const inputs = only(batchOf(size, length), inputSpecs);
    const padded = {
      inputIds: lengthened(inputs.inputIds!, longer, 30),
      tokenTypeIds: lengthened(inputs.tokenTypeIds!, longer, 2),
      attentionMask: lengthened(inputs.attentionMask!, longer, 0),
    };
    const [expected, got] = [session.run('predict', inputs).logits!, session.run('predict', padded).logits!];
    expect(largestDifference(got, expected)).to.be.below(1e-5);
  });

  it('gives each sequence the logits it has alone', () => {
    const inputs = only(batchOf(3, 7), inputSpecs);
    const together = session.run('predict', inputs).logits!;
    for (let row = 0; row < 3; row++) {
      const alone = Object.fromEntries(
        Object.entries(inputs).map(([name, tensor]) => [
          name,
          integers([1, 7], numbersOf(tensor).slice(row * 7, (row + 1) * 7)),
        ]),
      );
      const got = session.run('predict', alone).logits!;
      const expected = numbersOf(together).slice(row * numLabels, (row + 1) * numLabels);
      expect(largestDifference(got, floats([1, numLabels], expected))).to.be.below(1e-6);
    }
  });

  it('depends on the token types, the positions and the mask', () => {
    const inputs = only(batchOf(3, 7), inputSpecs);
    const logits = session.run('predict', inputs).logits!;
    const changes: Record<string, HostTensor> = {
      tokenTypeIds: integers([3, 7], Array<number>(21).fill(0)),
      attentionMask: integers([3, 7], Array<number>(21).fill(1)),
      inputIds: integers([3, 7], numbersOf(inputs.inputIds!).reverse()),
    };
    for (const [name, value] of Object.entries(changes)) {
      const other = session.run('predict', { ...inputs, [name]: value }).logits!;
      expect(largestDifference(other, logits), name).to.be.above(1e-3);
    }
  });

  it('has a gradient for every variable', () => {
    const got = session.run('gradients', batchOf(3, 7));
    for (const { name, shape } of specs) {
      expect(got[name]!.shape, name).to.deep.equal(shape);
      // The key's bias adds the same to all scores of a query, which changes no probability.
      if (name.endsWith('/key/bias')) continue;
      expect(Math.max(...numbersOf(got[name]!).map(Math.abs)), name).to.be.above(1e-4);
    }
  });
});

const rows = z.array(z.array(z.number()));
const fixtureSchema = z.object({
  config: bertConfigSchema,
  weights: z.record(z.string(), z.array(z.number())),
  inputs: z.object({ input_ids: rows, token_type_ids: rows, attention_mask: rows }),
  logits: rows,
});

describe("the BERT classifier compared with Transformers' BertForSequenceClassification", () => {
  // Made by test/fixtures/models/make.py, in float64.
  const fixture = fixtureSchema.parse(JSON.parse(readFileSync('test/fixtures/models/classifier.json', 'utf8')));

  it('gives the same logits for the same weights', () => {
    const matrix = (numbers: number[][]): HostTensor => integers([numbers.length, numbers[0]!.length], numbers.flat());
    const { input_ids, token_type_ids, attention_mask } = fixture.inputs;
    const { variables: weights, logits: forward } = sequenceClassifier(fixture.config, numLabels);
    expect(weights.map(({ name }) => name)).to.have.members(Object.keys(fixture.weights));
    const tensors = [
      ...[input_ids, token_type_ids, attention_mask].map(matrix),
      ...weights.map(({ name, shape }) => floats(shape, fixture.weights[name]!)),
    ];
    const [logits] = runEagerly(tensors, (inputIds, tokenTypeIds, attentionMask, ...values) => {
      const byName = new Map(weights.map(({ name }, i) => [name, values[i]!]));
      const inputs = { inputIds, tokenTypeIds, attentionMask };
      return [forward({ weights: (name) => byName.get(name)!, dropout: noDropout }, inputs)];
    });
    expect(largestDifference(logits!, floats([3, numLabels], fixture.logits.flat()))).to.be.below(2e-6);
  });
});
