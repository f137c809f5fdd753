import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { planLoad, type Checkpoint } from '../../src/checkpoints/checkpoint.js';
import { openHuggingFace } from '../../src/checkpoints/huggingface.js';
import {
  buildProgram,
  dimension,
  openSession,
  productFlops,
  type FunctionSpec,
  type HostTensor,
  type NamedTensors,
  type Program,
  type TensorSpec,
} from '../../src/graph/index.js';
import { floats, largestDifference } from '../../src/graph/testing.js';
import { noDropout } from '../../src/models/dropout.js';
import type { ModelConfig } from '../../src/models/model-config.js';
import { maskedLanguageModel, modelOf, sequenceClassifier, tokenClassifier } from '../../src/models/network.js';
import type { Network } from '../../src/models/network.js';
import type { EncoderInputs } from '../../src/models/transformer.js';
import type { VariableSpec } from '../../src/models/variables.js';
import { lossAndGradients } from '../../src/training/gradients.js';
import { inferenceProgram } from '../../src/training/program.js';
import { arraySchema, askPython, type PythonArray } from './python.js';
import { int32Vector, tokenInputs, type TokenRows } from './tiny-model.js';

const heads = ['base', 'sequence', 'token', 'words'] as const;
type HeadName = (typeof heads)[number];

interface Files {
  readonly dtype: 'float32' | 'float16' | 'bfloat16';
  readonly shards: boolean;
  readonly oldNames: boolean;
  readonly prefix: boolean;
  readonly oldTensors: boolean;
}

const plain: Files = { dtype: 'float32', shards: false, oldNames: false, prefix: true, oldTensors: false };

/** The keys of a configuration that batches depend on, among others. */
interface Sizes extends Readonly<Record<string, unknown>> {
  readonly model_type: string;
  readonly vocab_size: number;
  readonly pad_token_id: number;
  readonly type_vocab_size: number;
}

interface Case {
  readonly title: string;
  readonly config: Sizes;
  readonly files: Files;
  readonly heads: readonly HeadName[];
}

const numLabels = 5;

/** All sizes differ, so that a swapped axis fails. */
const common = {
  vocab_size: 31,
  hidden_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  intermediate_size: 17,
  max_position_embeddings: 19,
  type_vocab_size: 3,
  layer_norm_eps: 1e-12,
  pad_token_id: 0,
  num_labels: numLabels,
  hidden_dropout_prob: 0,
  attention_probs_dropout_prob: 0,
  classifier_dropout: null,
};
const bert = { ...common, model_type: 'bert' };
const { classifier_dropout, ...withoutRate } = common;
const albert = {
  ...withoutRate,
  model_type: 'albert',
  embedding_size: 7,
  num_hidden_layers: 5,
  num_hidden_groups: 2,
  inner_group_num: 2,
  classifier_dropout_prob: 0,
};
const distilbert = {
  model_type: 'distilbert',
  vocab_size: 31,
  dim: 12,
  n_layers: 2,
  n_heads: 3,
  hidden_dim: 17,
  max_position_embeddings: 19,
  pad_token_id: 0,
  num_labels: numLabels,
  dropout: 0,
  attention_dropout: 0,
  seq_classif_dropout: 0,
  // Not a key of DistilBERT's: what token types are fed, to no effect.
  type_vocab_size: 2,
};
const roberta = { ...common, model_type: 'roberta', type_vocab_size: 1, pad_token_id: 1, layer_norm_eps: 1e-5 };
const electra = { ...common, model_type: 'electra', embedding_size: 7, classifier_dropout };
const families = [bert, albert, distilbert, roberta, electra];

const cases: Case[] = [
  ...families.flatMap((config): Case[] => {
    const name = config.model_type;
    const key = name === 'distilbert' ? 'activation' : 'hidden_act';
    return [
      { title: name, config, files: plain, heads },
      ...['gelu_new', 'relu', 'silu'].map((activation) => ({
        title: `${name} with ${activation}`,
        config: { ...config, [key]: activation },
        files: plain,
        heads: ['sequence', 'words'] as const,
      })),
      {
        title: `${name} of one layer`,
        config: { ...config, ...oneLayer(name) },
        files: plain,
        heads: ['base', 'sequence'],
      },
      { title: `${name} in shards`, config, files: { ...plain, shards: true }, heads: ['base', 'sequence'] },
      { title: `${name} with gamma and beta`, config, files: { ...plain, oldNames: true }, heads: ['base', 'words'] },
      { title: `${name} without its prefix`, config, files: { ...plain, prefix: false }, heads: ['sequence', 'words'] },
      { title: `${name} with tensors of older versions`, config, files: { ...plain, oldTensors: true }, heads },
      { title: `${name} in float16`, config, files: { ...plain, dtype: 'float16' }, heads: ['words'] },
      {
        title: `${name} in bfloat16 and shards`,
        config,
        files: { ...plain, dtype: 'bfloat16', shards: true },
        heads: ['words'],
      },
      {
        title: `${name} with a head of its own words`,
        config: { ...config, tie_word_embeddings: false },
        files: plain,
        heads: ['words'],
      },
      {
        title: `${name} with another pad_token_id`,
        config: { ...config, pad_token_id: 4 },
        files: plain,
        heads: ['base', 'words'],
      },
    ];
  }),
  ...[
    ...[bert, albert, roberta, electra].map((config) => ({
      title: `${config.model_type} with a large layer_norm_eps`,
      config: { ...config, layer_norm_eps: 0.1 },
    })),
    ...[1, 2].map((types) => ({
      title: `bert with type_vocab_size ${types}`,
      config: { ...bert, type_vocab_size: types },
    })),
    { title: 'albert of one group', config: groups(4, 1, 1) },
    { title: 'albert of a group a layer', config: groups(3, 3, 1) },
    { title: 'albert of 7 layers in 3 groups', config: groups(7, 3, 1) },
    // Transformers finds layer 9's group as int(9 / (18 / 14)), which is 6 and not 7.
    { title: 'albert of 18 layers in 14 groups', config: groups(18, 14, 1) },
    { title: 'albert of 2 layers in 6 groups', config: groups(2, 6, 1) },
    { title: 'albert with embeddings as wide as its layers', config: { ...albert, embedding_size: 12 } },
    { title: 'albert with embeddings wider than its layers', config: { ...albert, embedding_size: 20 } },
    { title: 'roberta with type_vocab_size 2', config: { ...roberta, type_vocab_size: 2 } },
    { title: 'roberta with pad_token_id 0', config: { ...roberta, pad_token_id: 0 } },
    { title: 'electra without a projection', config: { ...electra, embedding_size: 12 } },
    { title: 'electra with embeddings wider than its layers', config: { ...electra, embedding_size: 20 } },
    { title: 'distilbert with sinusoids', config: { ...distilbert, sinusoidal_pos_embds: true } },
  ].map((given): Case => ({ ...given, files: plain, heads: ['base', 'words'] })),
];

function oneLayer(family: string): object {
  if (family === 'distilbert') return { n_layers: 1 };
  return family === 'albert' ? { num_hidden_layers: 1, num_hidden_groups: 1 } : { num_hidden_layers: 1 };
}

function groups(layers: number, count: number, inner: number): typeof albert {
  return { ...albert, num_hidden_layers: layers, num_hidden_groups: count, inner_group_num: inner };
}

/** What a folder has that the model does not use, sorted. */
function unusedTensors({ title, config, files }: Case, head: HeadName): string[] {
  const family = config.model_type;
  const [bias, weight] = decoders.get(family)!;
  if (config.tie_word_embeddings === false) return bias === undefined ? [] : [bias.replace('.decoder', '')];
  if (title === 'albert of 2 layers in 6 groups') {
    const prefix = head === 'base' ? '' : 'albert.';
    const group = (index: number): string[] =>
      blockTensors.map((name) => `${prefix}encoder.albert_layer_groups.${index}.albert_layers.0.${name}`);
    return [1, 2, 4, 5].flatMap(group).sort();
  }
  if (!files.oldTensors) return [];
  const tied = head === 'words' ? [bias ?? [], weight].flat() : [];
  return [`${head === 'base' ? '' : `${family}.`}embeddings.position_ids`, ...tied].sort();
}

/** Bias and weight of the layer that gives the words' logits, where they have a second name. */
const decoders = new Map<string, readonly [bias: string | undefined, weight: string]>([
  ['bert', ['cls.predictions.decoder.bias', 'cls.predictions.decoder.weight']],
  ['albert', ['predictions.decoder.bias', 'predictions.decoder.weight']],
  ['distilbert', [undefined, 'vocab_projector.weight']],
  ['roberta', ['lm_head.decoder.bias', 'lm_head.decoder.weight']],
  ['electra', [undefined, 'generator_lm_head.weight']],
]);

const blockTensors = [
  ...['query', 'key', 'value', 'dense', 'LayerNorm'].map((name) => `attention.${name}`),
  ...['ffn', 'ffn_output', 'full_layer_layer_norm'],
].flatMap((name) => [`${name}.weight`, `${name}.bias`]);

type IsPadding = (row: number, column: number) => boolean;

/** Rows of token ids; padding has the pad id and mask 0. */
function rowsOf(
  { vocab_size, pad_token_id: pad, type_vocab_size }: Sizes,
  size: number,
  length: number,
  is: IsPadding,
) {
  const table = (value: (row: number, column: number) => number): number[][] =>
    Array.from({ length: size }, (_, row) => Array.from({ length }, (_, column) => value(row, column)));
  const word = (row: number, column: number): number => {
    const id = (row * 17 + column * 5 + 3) % vocab_size;
    return id === pad ? (id + 1) % vocab_size : id;
  };
  return {
    input_ids: table((row, column) => (is(row, column) ? pad : word(row, column))),
    token_type_ids: table((row, column) => (is(row, column) ? 0 : (row + column) % type_vocab_size)),
    attention_mask: table((row, column) => (is(row, column) ? 0 : 1)),
  };
}

/** None of a shape that was traced. Padding at the end, at the start and in between; a pad id that is no padding. */
function batchesOf(sizes: Sizes): TokenRows[] {
  const atTheEnd = rowsOf(sizes, 3, 7, (row, column) => column >= 7 - 3 * row);
  const atTheStart = rowsOf(sizes, 4, 11, (row, column) => column < 2 * row);
  const between = rowsOf(sizes, 2, 13, (row, column) => column % (row + 3) === row + 2);
  const single = rowsOf(sizes, 1, 1, () => false);
  atTheStart.input_ids[0]![5] = sizes.pad_token_id;
  return [atTheEnd, atTheStart, between, single];
}

const answerSchema = z.object({
  outputs: z.array(z.record(z.string(), arraySchema)),
  gradients: z.record(z.string(), arraySchema),
  flops: z.number(),
});

type Answer = z.infer<typeof answerSchema>;

interface ModelRequest {
  readonly folder: string;
  readonly head: HeadName;
  readonly config: object;
  readonly files: Files;
  readonly batches: readonly TokenRows[];
  readonly labels: readonly number[] | readonly number[][] | null;
}

const askModels = (models: readonly ModelRequest[]): Answer[] =>
  askPython('families.py', { models }, z.array(answerSchema));

const tokens: TensorSpec = { dtype: 'int32', shape: [dimension('batch'), dimension('sequence')] };
const inputSpecs = { inputIds: tokens, tokenTypeIds: tokens, attentionMask: tokens };

const encoderInputs = ({ inputIds, tokenTypeIds, attentionMask }: NamedTensors): EncoderInputs => ({
  inputIds: inputIds!,
  tokenTypeIds: tokenTypeIds!,
  attentionMask: attentionMask!,
});

function networkOf(config: ModelConfig, head: Exclude<HeadName, 'base'>): Network {
  if (head === 'sequence') return sequenceClassifier(config, numLabels);
  return head === 'token' ? tokenClassifier(config, numLabels) : maskedLanguageModel(config);
}

/** Hidden states and the pooled output of an encoder. */
function encoderProgram(config: ModelConfig): { specs: readonly VariableSpec[]; program: Program } {
  const model = modelOf(config);
  const specs = [...model.variables, ...model.poolerVariables];
  const predict: FunctionSpec = {
    inputs: inputSpecs,
    build(inputs, variables) {
      const pass = { weights: variables.read.bind(variables), dropout: noDropout };
      const given = encoderInputs(inputs);
      return { states: model.hiddenStates(pass, given), pooled: model.pooled(pass, given) };
    },
  };
  const variables = specs.map(({ name, shape }) => ({ name, shape, dtype: 'float32' as const }));
  return {
    specs,
    program: buildProgram({ variables, functions: { predict }, accessible: specs.map(({ name }) => name) }),
  };
}

function programOf(config: ModelConfig, head: HeadName): { specs: readonly VariableSpec[]; program: Program } {
  if (head === 'base') return encoderProgram(config);
  const network = networkOf(config, head);
  return { specs: network.variables, program: inferenceProgram(network, 'fp32') };
}

/** The values of all the variables, and the tensors that were not used. */
function readWeights(
  checkpoint: Checkpoint,
  specs: readonly VariableSpec[],
): { values: Record<string, HostTensor>; unused: readonly string[] } {
  const { loaded, fresh, unused } = planLoad(checkpoint, specs, true);
  expect(fresh).to.deep.equal([]);
  return {
    values: Object.fromEntries(loaded.map(({ spec, read }) => [spec.name, floats(spec.shape, [...read()])])),
    unused,
  };
}

/** The outputs for each batch, and the tensors of the folder that were not used. */
function compute(folder: string, head: HeadName, batches: readonly TokenRows[]) {
  const checkpoint = openHuggingFace(folder);
  try {
    const { specs, program } = programOf(checkpoint.config, head);
    const { values, unused } = readWeights(checkpoint, specs);
    const session = openSession(program);
    try {
      for (const [name, value] of Object.entries(values)) session.run(`assign/${name}`, { value });
      return { outputs: batches.map((batch) => session.run('predict', tokenInputs(batch))), unused };
    } finally {
      session.dispose();
    }
  } finally {
    checkpoint.close();
  }
}

/** The loss's gradient for each variable; the weights are inputs of this graph. */
function gradientsProgram(network: Network): Program {
  const specs = network.variables;
  const weightSpecs = Object.fromEntries(specs.map(({ name, shape }) => [name, { dtype: 'float32' as const, shape }]));
  const [size, length] = [dimension('batch'), dimension('sequence')];
  const gradients: FunctionSpec = {
    inputs: {
      ...inputSpecs,
      ...weightSpecs,
      labels: { dtype: 'int32', shape: network.labelled === 'token' ? [size, length] : [size] },
      dropoutSeed: { dtype: 'int32', shape: [2] },
    },
    build(inputs) {
      const { gradients: list } = lossAndGradients(network, inputs, { read: (name) => inputs[name]! });
      return Object.fromEntries(specs.map(({ name }, i) => [name, list[i]!]));
    },
  };
  return buildProgram({ variables: [], functions: { gradients } });
}

function computeGradients(checkpoint: Checkpoint, network: Network, batch: TokenRows, labels: readonly number[]) {
  const session = openSession(gradientsProgram(network));
  const rows = batch.input_ids;
  const labelShape = network.labelled === 'token' ? [rows.length, rows[0]!.length] : [rows.length];
  try {
    return session.run('gradients', {
      ...tokenInputs(batch),
      ...readWeights(checkpoint, network.variables).values,
      labels: { shape: labelShape, data: Int32Array.from(labels) },
      dropoutSeed: int32Vector([0, 0]),
    });
  } finally {
    session.dispose();
  }
}

/** Ours have the tokens of all sequences on one axis. */
const reference = (shape: readonly number[], { values }: PythonArray): HostTensor => floats(shape, values);

function transposed({ shape, values }: PythonArray): number[] {
  const [rows, columns] = shape as [number, number];
  return Array.from({ length: values.length }, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!);
}

describe('models of every family compared with Transformers', () => {
  let root: string;

  before(() => {
    root = mkdtempSync(join(tmpdir(), 't4-families-'));
  });

  after(() => {
    rmSync(root, { recursive: true });
  });

  describe('hidden states and logits', () => {
    const tested = cases.flatMap((given) => given.heads.map((head) => ({ ...given, head })));
    const folderOf = (index: number): string => join(root, `model-${index}`);
    let answers: Answer[];

    before(() => {
      answers = askModels(
        tested.map(({ head, config, files }, i) => ({
          folder: folderOf(i),
          head,
          config,
          files,
          batches: batchesOf(config),
          labels: null,
        })),
      );
    });

    tested.forEach((given, index) => {
      const { title, head, config, files } = given;
      it(`are equal: ${title}, head ${head}`, () => {
        const { outputs, unused } = compute(folderOf(index), head, batchesOf(config));
        expect(readdirSync(folderOf(index)).includes('model.safetensors')).to.equal(!files.shards);
        outputs.forEach((output, i) => {
          const expected = answers[index]!.outputs[i]!;
          expect(Object.keys(output)).to.have.members(Object.keys(expected));
          for (const [name, value] of Object.entries(output)) {
            const difference = largestDifference(value, reference(value.shape, expected[name]!));
            expect(difference, `${name} of batch ${i}`).to.be.below(1e-5);
          }
        });
        expect([...unused].sort()).to.deep.equal(unusedTensors(given, head));
      });
    });
  });

  describe('gradients', () => {
    const headNames = ['sequence', 'token', 'words'] as const;
    const tested = families.flatMap((config) => headNames.map((head) => ({ config, head })));
    const folderOf = (index: number): string => join(root, `gradients-${index}`);
    const [size, length] = [3, 7];

    // PyTorch gives the pad token's embedding no gradient of its own, so a loss over all tokens must meet no padding.
    const batchOf = (config: Sizes, head: HeadName): TokenRows =>
      rowsOf(config, size, length, (row, column) => head === 'sequence' && column >= length - 3 * row);

    const labelsOf = (config: Sizes, head: HeadName): number[][] =>
      Array.from({ length: size }, (_, row) =>
        Array.from(
          { length: head === 'sequence' ? 1 : length },
          (_, column) => (row * 11 + column * 3 + 1) % (head === 'words' ? config.vocab_size : numLabels),
        ),
      );

    let answers: Answer[];

    before(() => {
      answers = askModels(
        tested.map(({ config, head }, i) => {
          const labels = labelsOf(config, head);
          return {
            folder: folderOf(i),
            head,
            config,
            files: plain,
            batches: [batchOf(config, head)],
            labels: head === 'sequence' ? labels.flat() : labels,
          };
        }),
      );
    });

    tested.forEach(({ config, head }, index) => {
      it(`are equal for every variable: ${config.model_type}, head ${head}`, () => {
        const checkpoint = openHuggingFace(folderOf(index));
        try {
          const network = networkOf(checkpoint.config, head);
          const labels = labelsOf(config, head).flat();
          const got = computeGradients(checkpoint, network, batchOf(config, head), labels);
          const expected = answers[index]!.gradients;
          expect(Object.keys(got)).to.have.members(network.variables.map(({ name }) => name));
          expect(Object.keys(got)).to.have.length(Object.keys(expected).length);
          for (const { name, shape } of network.variables) {
            const { names, transposed: isTransposed } = checkpoint.storedAs.get(name)!;
            const theirs = expected[names.find((spelling) => spelling in expected)!]!;
            const values = isTransposed ? transposed(theirs) : theirs.values;
            const difference = largestDifference(got[name]!, floats(shape, values));
            expect(difference, name).to.be.below(1e-5);
          }
        } finally {
          checkpoint.close();
        }
      });

      it(`take as many operations of matrix products as PyTorch counts: ${config.model_type}, head ${head}`, () => {
        const checkpoint = openHuggingFace(folderOf(index));
        try {
          const flops = productFlops(gradientsProgram(networkOf(checkpoint.config, head)), 'gradients')!;
          const { flops: expected } = answers[index]!;
          // Of the last layer for a sequence's label, PyTorch computes every token, and this program the first.
          if (head === 'sequence') expect(flops({ batch: size, sequence: length })).to.be.below(expected);
          else expect(flops({ batch: size, sequence: length })).to.equal(expected);
        } finally {
          checkpoint.close();
        }
      });
    });
  });
});
