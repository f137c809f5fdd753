import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { z } from 'zod';
import { hasFusedOps } from '../graph/fused-ops.js';
import { integers, numbersOf, sample } from '../graph/testing.js';
import {
  buildProgram,
  dimension,
  openSession,
  type FunctionSpec,
  type HostTensor,
  type Precision,
} from '../graph/index.js';
import { lossAndGradients } from '../training/gradients.js';
import { plainStep } from '../training/techniques.js';
import type { ActivationName } from './activation-names.js';
import { bertConfigSchema } from './bert-config.js';
import { modelConfigSchema, modelTypes, withDropout, type ModelConfig } from './model-config.js';
import { sequenceClassifier, tokenClassifier, type Network } from './network.js';
import { eagerly, halved, inputSpecs, table } from './testing.js';

const numLabels = 5;
const [size, length] = [3, 7];

/** Loss and gradients, of layers that are kept or computed again. */
function gradientsOf(network: Network, recompute: boolean): FunctionSpec {
  const [batch, sequence] = [dimension('batch'), dimension('sequence')];
  return {
    inputs: {
      ...inputSpecs,
      labels: { dtype: 'int32', shape: network.labelled === 'token' ? [batch, sequence] : [batch] },
      dropoutSeed: { dtype: 'int32', shape: [2] },
    },
    build(inputs, variables) {
      const { loss, gradients } = lossAndGradients(network, inputs, variables, { ...plainStep, recompute });
      return { loss, ...Object.fromEntries(network.variables.map(({ name }, i) => [name, gradients[i]!])) };
    },
  };
}

const inputsOf = ({ labelled }: Network): Record<string, HostTensor> => ({
  inputIds: table(size, length, (row, column) => 3 + ((row * 17 + column * 5) % 28)),
  tokenTypeIds: table(size, length, () => 0),
  attentionMask: table(size, length, (row, column) => (column < length - row ? 1 : 0)),
  labels: labelled === 'token' ? table(size, length, (row, column) => (row + column) % numLabels) : integers([3], [4, 0, 3]), // prettier-ignore
  dropoutSeed: integers([2], [3, 8]),
});

/** Any numbers, also where a new model would have zeros and ones. */
const weightsOf = ({ variables }: Network): Map<string, HostTensor> =>
  new Map(variables.map(({ name, shape }, i) => [name, halved(sample(shape, i + 3))]));

function bothWays(network: Network, precision: Precision, fused: boolean) {
  const { variables } = network;
  const program = buildProgram({
    variables: variables.map(({ name, shape }) => ({ name, shape, dtype: 'float32' as const })),
    functions: { kept: gradientsOf(network, false), again: gradientsOf(network, true) },
    accessible: variables.map(({ name }) => name),
    precision,
    fused,
  });
  const session = openSession(program);
  try {
    for (const [name, value] of weightsOf(network)) session.run(`assign/${name}`, { value });
    const [kept, again] = ['kept', 'again'].map((name) => session.run(name, inputsOf(network)));
    const products = (name: string): number =>
      program.nodes.filter((node) => node.name.startsWith(`${name}/`) && /MatMul|^T4(Joined)?Attention$/.test(node.op))
        .length;
    return { kept: kept!, again: again!, moreProducts: products('again') - products('kept') };
  } finally {
    session.dispose();
  }
}

/** Six dense layers, and scores and their mean of values. Fused: query, key and value are one, and so are those two. */
const productsOfLayer = (fused: boolean): number => (fused ? 5 : 8);

const familyConfig = (type: string): ModelConfig => {
  const fixture: unknown = JSON.parse(readFileSync(`test/fixtures/models/families/${type}.json`, 'utf8'));
  return withDropout(z.object({ config: modelConfigSchema }).parse(fixture).config, 0.4);
};

function layersOf(config: ModelConfig): number {
  if (config.model_type === 'distilbert') return config.n_layers;
  return config.num_hidden_layers * (config.model_type === 'albert' ? config.inner_group_num : 1);
}

const tinyBert = (activation: ActivationName): ModelConfig =>
  withDropout(
    bertConfigSchema.parse({
      vocab_size: 31,
      hidden_size: 16,
      num_hidden_layers: 3,
      num_attention_heads: 2,
      intermediate_size: 33,
      max_position_embeddings: 29,
      hidden_act: activation,
    }),
    0.1,
  );

interface Case {
  title: string;
  config: ModelConfig;
  head: typeof tokenClassifier;
  precision: Precision;
  fused: boolean;
}

const cases: Case[] = [
  ...modelTypes.map((type, i) => ({
    title: `a model of type ${type}`,
    config: familyConfig(type),
    head: i % 2 === 0 ? tokenClassifier : sequenceClassifier,
    precision: 'fp32' as const,
    fused: false,
  })),
  ...(['gelu', 'gelu_new', 'relu', 'silu', 'tanh'] as const).map((activation, i) => ({
    title: `BERT with ${activation} in bf16`,
    config: tinyBert(activation),
    head: i % 2 === 0 ? sequenceClassifier : tokenClassifier,
    precision: 'bf16' as const,
    fused: hasFusedOps,
  })),
];

describe('layers that are computed again for the backward pass', () => {
  for (const { title, config, head, precision, fused } of cases) {
    it(`change no bit of loss and gradients: ${title}`, () => {
      const { kept, again, moreProducts } = bothWays(head(config, numLabels), precision, fused);
      expect(moreProducts).to.equal((layersOf(config) - 1) * productsOfLayer(fused));
      for (const [name, values] of Object.entries(kept)) expect(again[name], name).to.deep.equal(values);
    });
  }

  it('give the same eagerly', () => {
    const network = tokenClassifier(tinyBert('gelu'), numLabels);
    const [kept, again] = [false, true].map((recompute) =>
      eagerly(gradientsOf(network, recompute), inputsOf(network), weightsOf(network)),
    );
    expect(numbersOf(kept!.loss!)[0]).to.be.above(0);
    expect(again).to.deep.equal(kept);
  });
});
