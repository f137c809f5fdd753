import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { openHuggingFace } from '../../src/checkpoints/huggingface.js';
import type { Batch } from '../../src/data/batches.js';
import type { Labelled } from '../../src/data/encode.js';
import { createRandom } from '../../src/data/random.js';
import { integers, numbersOf, runEagerly } from '../../src/graph/testing.js';
import { tf, type Tensor } from '../../src/graph/index.js';
import { seededDropout } from '../../src/models/dropout.js';
import { withDropout } from '../../src/models/model-config.js';
import { labelSetClassifier, sequenceClassifier, tokenClassifier, type Network } from '../../src/models/network.js';
import type { TrainingConfig } from '../../src/task/schema.js';
import { lossCountOf } from '../../src/training/accumulation.js';
import { adafactor, type AdafactorSettings } from '../../src/training/adafactor.js';
import { adamW, type AdamSettings } from '../../src/training/adamw.js';
import { fgm } from '../../src/training/adversary.js';
import { readAllWeights } from '../../src/training/finished-model.js';
import { lamb } from '../../src/training/lamb.js';
import { trainingProgram } from '../../src/training/program.js';
import { scheduleShare, type ScheduleSettings } from '../../src/training/schedule.js';
import { randomDirection } from '../../src/training/virtual-adversary.js';
import { plainStep, type Techniques } from '../../src/training/techniques.js';
import { openTrainer } from '../../src/training/trainer.js';
import { frozenVariables, rateFactorsOf } from '../../src/training/variable-rates.js';
import { askPython } from './python.js';
import { readConfig, tinyBatch, tinyConfig, tinyLabels, transformersName } from './tiny-model.js';

const steps = 10;
const runSeed = 1;
const adam = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.3 };
const factored = { beta1: 0, clipThreshold: 1, scaleParameter: false, weightDecay: 0.3 };
const rate = { learningRate: 0.003, maxGradNorm: 1 };

const heads = { sequence: sequenceClassifier, token: tokenClassifier, 'label-set': labelSetClassifier };
const labelled = { sequence: 'example', token: 'token', 'label-set': 'label-set' } as const satisfies Record<
  keyof typeof heads,
  Labelled
>;

interface Case {
  readonly techniques?: Partial<Techniques>;
  readonly schedule?: Partial<ScheduleSettings>;
  readonly head?: keyof typeof heads;
  /** The rate of every dropout, whose masks PyTorch is given; absent: 0. */
  readonly dropout?: number;
  readonly optimizer?:
    ({ kind: 'adamw' | 'lamb' } & Partial<AdamSettings>) | ({ kind: 'adafactor' } & Partial<AdafactorSettings>);
  readonly variables?: Partial<Pick<TrainingConfig, 'freeze' | 'layer_decay' | 'rate_factors'>>;
}

/** Batches of changing size and length, some of their rows padded. */
function randomBatches(count: number, kind: Labelled): Batch[] {
  const random = createRandom(5);
  return Array.from({ length: count }, () => {
    const [size, length] = [2 + random(4), 4 + random(9)];
    const draw = (one: () => number): Int32Array => Int32Array.from({ length: size * length }, one);
    const lengths = Array.from({ length: size }, () => 1 + random(length));
    const attentionMask = Int32Array.from({ length: size * length }, (_, i) =>
      i % length < lengths[Math.floor(i / length)]! ? 1 : 0,
    );
    const labels = {
      example: () => Int32Array.from({ length: size }, () => random(tinyLabels)),
      token: () => attentionMask.map((real) => (real === 1 && random(3) > 0 ? random(tinyLabels) : -1)),
      'label-set': () => Int32Array.from({ length: size * tinyLabels }, () => random(2)),
    }[kind];
    return {
      size,
      length,
      // Not id 0: PyTorch leaves the row of the padding token alone, even where it stands for a real token.
      inputIds: draw(() => 1 + random(tinyConfig.vocab_size - 1)),
      tokenTypeIds: draw(() => random(tinyConfig.type_vocab_size)),
      attentionMask,
      labels: labels(),
      labelled: kind,
      indices: new Int32Array(size),
      tokens: size * length,
    };
  });
}

const answerSchema = z.object({
  losses: z.array(z.number()),
  gradNorms: z.array(z.number()),
  rates: z.array(z.number()),
});

interface Trained extends z.infer<typeof answerSchema> {
  readonly weights: ReadonlyMap<string, Float32Array>;
}

function weightsOf(folder: string, network: Network): Map<string, Float32Array> {
  const checkpoint = openHuggingFace(folder);
  try {
    return new Map(readAllWeights(checkpoint, network).map(({ name, read }) => [name, read()]));
  } finally {
    checkpoint.close();
  }
}

const pythonBatch = ({ size, length, inputIds, tokenTypeIds, attentionMask, labels }: Batch): object => ({
  size,
  length,
  input_ids: Array.from(inputIds),
  token_type_ids: Array.from(tokenTypeIds),
  attention_mask: Array.from(attentionMask),
  labels: Array.from(labels),
});

/** What both sides do in a case. */
function planOf({ head = 'sequence', ...given }: Case, { variables }: Network) {
  const settings = { freeze: undefined, layer_decay: 1, rate_factors: undefined, ...given.variables };
  const frozen = frozenVariables(variables, settings);
  const techniques = { ...plainStep, ...given.techniques, frozen, rateFactors: rateFactorsOf(variables, settings) };
  const schedule: ScheduleSettings = {
    warmupSteps: 3,
    totalSteps: steps,
    decay: { kind: 'linear' },
    ...given.schedule,
  };
  const perStep = techniques.gradientAccumulation;
  const batches = randomBatches(steps * perStep, labelled[head]);
  const batchesOf = Array.from({ length: steps }, (_, step) => batches.slice(step * perStep, (step + 1) * perStep));
  return { head, techniques, schedule, batchesOf };
}

/** The optimizer of a case, and what Python is told of it. */
function optimizerOf({ optimizer: given = { kind: 'adamw' } }: Case) {
  if (given.kind === 'adafactor') {
    const settings = { ...factored, ...given };
    return { optimizer: adafactor(settings), settings };
  }
  const settings = { ...adam, biasCorrection: true, ...given };
  return { optimizer: (given.kind === 'lamb' ? lamb : adamW)(settings), settings };
}

const networkOf = ({ head = 'sequence', dropout = 0 }: Case, start: string): Network =>
  heads[head](withDropout(readConfig(start), dropout), tinyLabels);

/** What decides a step's dropout and random direction. */
const seedOf = (step: number) => integers([2], [runSeed, step]);

/** The masks of so many passes over a batch, in their order: 0, or 1 / (1 - rate). */
function masksOf(network: Network, batch: Batch, step: number, passes: number): number[][] {
  const shape = [batch.size, batch.length];
  const rows = [batch.inputIds, batch.tokenTypeIds, batch.attentionMask].map((data) => ({ shape, data }));
  const specs = new Map(network.variables.map((spec) => [spec.name, spec.shape]));
  return runEagerly([...rows, seedOf(step)], (inputIds, tokenTypeIds, attentionMask, seed) => {
    const masks: Tensor[] = [];
    const dropout = seededDropout(seed);
    const recorded = (x: Tensor, rate: number): Tensor => {
      // Attention draws inside of an operation, whose tensors tfjs disposes of.
      masks.push(tf.keep(dropout(tf.ones(x.shape), rate)));
      return x;
    };
    const pass = {
      weights: (name: string) => tf.zeros([...specs.get(name)!]),
      dropout: Object.assign(recorded, {
        draw: (x: Tensor, rate: number) => ({ y: recorded(x, rate), kept: undefined }),
        nextSeed: () => undefined,
        copy: () => dropout,
      }),
    };
    const inputs = { inputIds: inputIds, tokenTypeIds: tokenTypeIds, attentionMask: attentionMask };
    for (let count = 0; count < passes; count++) network.logits(pass, inputs);
    return masks;
  }).map(numbersOf);
}

/** The random directions of virtual adversarial training, one a step. */
const directions = (): number[][] =>
  Array.from({ length: steps }, (_, step) =>
    numbersOf(
      runEagerly([seedOf(step)], (seed) => [
        randomDirection([tinyConfig.vocab_size, tinyConfig.hidden_size], seed),
      ])[0]!,
    ),
  );

/** Those of all steps of a case; none without dropout. */
function maskedSteps({ dropout = 0, techniques = {}, ...given }: Case, batchesOf: Batch[][], start: string) {
  if (dropout === 0) return [];
  const passes = ((techniques.rDrop ?? 0) > 0 ? 2 : 1) * (techniques.adversary === undefined ? 1 : 2);
  return batchesOf.map(([batch], step) => masksOf(networkOf({ ...given, dropout }, start), batch!, step, passes));
}

function trainHere(given: Case, start: string): Trained {
  const network = networkOf(given, start);
  const { techniques, schedule, batchesOf } = planOf(given, network);
  const { optimizer } = optimizerOf(given);
  const { maxGradNorm } = rate;
  const program = trainingProgram({ network, precision: 'fp32', optimizer, maxGradNorm, techniques });
  const trainer = openTrainer(program, {
    optimizer,
    seed: runSeed,
    techniques,
    lossCount: lossCountOf(network, undefined),
  });
  try {
    trainer.initialize(1);
    const checkpoint = openHuggingFace(start);
    trainer.load(readAllWeights(checkpoint, network));
    checkpoint.close();
    const rates = batchesOf.map((_, step) => rate.learningRate * scheduleShare(step, schedule));
    const results = batchesOf.map((ofStep, step) => trainer.step(ofStep, step, rates[step]!));
    const read = trainer.weightReader();
    const weights = new Map(network.variables.map(({ name }) => [name, read(name)]));
    const losses = results.map(({ loss }) => loss);
    return { losses, gradNorms: results.map(({ gradNorm }) => gradNorm), rates, weights };
  } finally {
    trainer.dispose();
  }
}

/** Losses, norms and weights to a relative 1e-4; of a weight, relative to the largest of its variable. */
function expectEqual(here: Trained, there: Trained): void {
  for (const key of ['rates', 'losses', 'gradNorms'] as const) {
    expect(here[key]).to.have.length(steps);
    there[key].forEach((value, step) => {
      expect(here[key][step], `${key}, step ${step + 1}`).to.be.closeTo(value, 1e-4 * Math.abs(value) + 1e-12);
    });
  }
  expect([...here.weights.keys()]).to.deep.equal([...there.weights.keys()]);
  for (const [name, expected] of there.weights) {
    // A softmax does not change with the bias of its keys: the gradient is rounding, of which Adam makes whole steps.
    if (name.endsWith('/key/bias')) continue;
    const got = here.weights.get(name)!;
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const difference = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - got[i]!)), 0);
    expect(difference / largest, name).to.be.below(1e-4);
  }
}

const cases = {
  'do without any': {},
  'end with the average of the weights': { techniques: { emaDecay: 0.8 } },
  'end with the average of few steps, in which the first weights have no part': { techniques: { emaDecay: 0.999 } },
  'take FGM steps': { techniques: { adversary: fgm(0.7) } },
  'take FGM steps and average them': { techniques: { emaDecay: 0.9, adversary: fgm(1) } },
  'take PGD steps': { techniques: { adversary: { steps: 3, size: 0.3, radius: 0.7 } } },
  "take Adam's steps as Google's BERT does": { optimizer: { kind: 'adamw', biasCorrection: false } },
  "take LAMB's steps": { optimizer: { kind: 'lamb', epsilon: 1e-6 } },
  "take LAMB's steps as Google's ALBERT does, with layers at rates of their own": {
    optimizer: { kind: 'lamb', epsilon: 1e-6, biasCorrection: false },
    variables: { layer_decay: 0.6 },
  },
  "take LAMB's steps of batches twice as large, with a frozen layer and an average": {
    optimizer: { kind: 'lamb' },
    techniques: { gradientAccumulation: 2, emaDecay: 0.9 },
    variables: { freeze: ['*/layer_0/*'] },
  },
  "take Adafactor's steps": { optimizer: { kind: 'adafactor' } },
  "take Adafactor's steps as shares of each variable's size, averaged": {
    optimizer: { kind: 'adafactor', scaleParameter: true, beta1: 0.9, clipThreshold: 0.7 },
    variables: { layer_decay: 0.6 },
  },
  "take Adafactor's steps of batches twice as large, with a frozen layer and an average": {
    optimizer: { kind: 'adafactor', beta1: 0.8 },
    techniques: { gradientAccumulation: 2, emaDecay: 0.9 },
    variables: { freeze: ['*/layer_0/*'] },
  },
  'take the steps of batches three times as large': { techniques: { gradientAccumulation: 3 } },
  'take those of larger batches with more labelled words in one part than in another': {
    head: 'token',
    techniques: { gradientAccumulation: 3 },
  },
  'leave what is frozen alone': { variables: { freeze: ['*/embeddings/*', '*/layer_0/*'] } },
  'perturb and average with a frozen table': {
    variables: { freeze: ['*/word_embeddings'] },
    techniques: { emaDecay: 0.9, adversary: fgm(0.7) },
  },
  'penalise the gradient of the words': { techniques: { gradientPenalty: 0.7 } },
  'penalise it, of labelled words': { head: 'token', techniques: { gradientPenalty: 1 } },
  'penalise it, of sets of labels and a frozen table': {
    head: 'label-set',
    techniques: { gradientPenalty: 0.5, emaDecay: 0.9 },
    variables: { freeze: ['*/word_embeddings'] },
  },
  'take virtual adversarial steps': { techniques: { virtualAdversary: { epsilon: 0.7, xi: 3, steps: 1, weight: 1 } } },
  'take them with labelled words': {
    head: 'token',
    techniques: { virtualAdversary: { epsilon: 1, xi: 10, steps: 2, weight: 0.6 } },
  },
  'take them with sets of labels': {
    head: 'label-set',
    techniques: { virtualAdversary: { epsilon: 0.5, xi: 1, steps: 3, weight: 2 } },
  },
  'drop out, by the same masks': { dropout: 0.3 },
  'drop out twice and compare (R-Drop)': { dropout: 0.3, techniques: { rDrop: 2 } },
  'drop out twice and compare, of labelled words': { head: 'token', dropout: 0.2, techniques: { rDrop: 1.5 } },
  'drop out twice and compare, of sets of labels, at FGM steps': {
    head: 'label-set',
    dropout: 0.3,
    techniques: { rDrop: 4, adversary: fgm(0.7) },
  },
  'take layers at rates of their own': { variables: { layer_decay: 0.6, rate_factors: { 'classifier/*': 3 } } },
  'follow a cosine': { schedule: { decay: { kind: 'cosine' } } },
  'follow a polynomial': { schedule: { decay: { kind: 'polynomial', power: 2.5, end: 0.1 }, warmupSteps: 0 } },
  'keep the rate behind the warmup': { schedule: { decay: { kind: 'constant' } } },
} as const satisfies Record<string, Case>;

describe(`${steps} training steps with techniques compared with PyTorch`, () => {
  const titles = Object.keys(cases) as (keyof typeof cases)[];
  const here = new Map<string, Trained>();
  const there = new Map<string, Trained>();
  let root: string;
  before(() => {
    root = mkdtempSync(join(tmpdir(), 't4-techniques-'));
    const start = join(root, 'start');
    const files = { dtype: 'float32', shards: false, oldNames: false, prefix: true };
    const model = { folder: start, config: tinyConfig, files };
    askPython('reference_model.py', { models: [model], batch: tinyBatch }, z.unknown());
    const requests = titles.map((title, i) => {
      const { head, techniques, schedule, batchesOf } = planOf(cases[title], networkOf(cases[title], start));
      const { variables } = networkOf(cases[title], start);
      const nameOf = new Map(variables.map((spec) => [spec.name, transformersName(spec).name]));
      return {
        folder: start,
        head,
        numLabels: tinyLabels,
        settings: { ...optimizerOf(cases[title]).settings, ...rate, ...schedule, ...techniques },
        frozen: [...techniques.frozen].map((name) => nameOf.get(name)),
        factors: Object.fromEntries([...techniques.rateFactors].map(([name, factor]) => [nameOf.get(name)!, factor])),
        steps: batchesOf.map((ofStep) => ofStep.map(pythonBatch)),
        masks: maskedSteps(cases[title], batchesOf, start),
        directions: techniques.virtualAdversary === undefined ? [] : directions(),
        result: join(root, `result-${i}`),
      };
    });
    const answers = askPython('techniques.py', requests, z.array(answerSchema));
    titles.forEach((title, i) => {
      there.set(title, { ...answers[i]!, weights: weightsOf(requests[i]!.result, networkOf(cases[title], start)) });
      here.set(title, trainHere(cases[title], start));
    });
  });
  after(() => {
    rmSync(root, { recursive: true });
  });

  for (const title of titles) {
    it(title, () => {
      expectEqual(here.get(title)!, there.get(title)!);
    });
  }

  it('are changed by FGM, and not by the average that is taken of them', () => {
    const losses = (title: keyof typeof cases) => here.get(title)!.losses;
    // Equal means to 1e-4 of the loss, which is 1.8 there.
    expect(losses('take FGM steps')[9]).not.to.be.closeTo(losses('do without any')[9]!, 4e-4);
    expect(losses('end with the average of the weights')).to.deep.equal(losses('do without any'));
    for (const title of ['penalise the gradient of the words', 'take virtual adversarial steps'] as const) {
      expect(losses(title)[0], title).to.be.above(losses('do without any')[0]! + 1e-3);
    }
    expect(losses('drop out twice and compare (R-Drop)')[0]).not.to.be.closeTo(losses('drop out, by the same masks')[0]!, 1e-4); // prettier-ignore
  });
});
