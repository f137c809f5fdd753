import {
  buildProgram,
  dimension,
  tf,
  type FunctionSpec,
  type NamedTensors,
  type Precision,
  type Program,
  type Scalar,
  type Tensor,
  type TensorSpec,
  type Variable,
  type VariableScope,
} from '../graph/index.js';
import { erfinv, statelessRandomUniform } from '../graph/ops.js';
import { noDropout, seededDropout } from '../models/layers.js';
import type { Network } from '../models/network.js';
import type { EncoderInputs } from '../models/transformer.js';
import { isDecayed, type VariableSpec } from '../models/variables.js';
import { applyAdamW, clipByGlobalNorm, globalNorm, momentNames, type AdamWSettings } from './optimizer.js';

export interface TrainingProgramOptions {
  readonly network: Network;
  readonly precision: Precision;
  readonly optimizer: AdamWSettings;
  /** Gradients are scaled down to this global norm; 0: never. */
  readonly maxGradNorm: number;
  /** The variables that `initialize` sets; undefined: all. */
  readonly fresh?: readonly string[];
}

const tokens: TensorSpec = { dtype: 'int32', shape: [dimension('batch'), dimension('sequence')] };
const encoderInputs = { inputIds: tokens, tokenTypeIds: tokens, attentionMask: tokens };
const scalar: TensorSpec = { dtype: 'float32', shape: [] };

const variableOf = ({ name, shape }: VariableSpec): Variable => ({ name, shape, dtype: 'float32' });

/**
 * The whole of fine-tuning as one graph. Functions:
 * - `train`: one update; returns `loss` and `gradNorm` (before clipping)
 * - `predict`: `logits` [batch, labels] or [batch * sequence, labels]; of a network with a field also the likeliest labels,
 *   `tags` [batch, sequence], and each sentence's loss, `losses` [batch]
 * - `initialize`: random values for the fresh variables, from a seed; absent where none is fresh
 * - `resetOptimizer`: moments to zero
 * - `assign/<variable>`, `fetch/<variable>`
 * - `save/...`, `restore/...` of the groups `weights` and `moments`
 */
export function trainingProgram(options: TrainingProgramOptions): Program {
  const { network } = options;
  const specs = network.variables;
  const fresh = specs.filter((spec) => options.fresh === undefined || options.fresh.includes(spec.name));
  const weights = specs.map(variableOf);
  const moments = weights.flatMap((weight) => momentNames(weight.name).map((name) => ({ ...weight, name })));
  const weightNames = weights.map((variable) => variable.name);
  return buildProgram({
    variables: [...weights, ...moments],
    precision: options.precision,
    functions: {
      train: trainFunction(options),
      predict: predictFunction(network),
      ...(fresh.length > 0 ? { initialize: initializeFunction(fresh) } : {}),
      resetOptimizer: resetFunction(moments),
    },
    accessible: weightNames,
    checkpoints: { weights: weightNames, moments: moments.map((variable) => variable.name) },
  });
}

/** What a network computes, whatever it is trained for. */
type Computation = Pick<Network, 'variables' | 'logits' | 'field'>;

/** The part of the graph that a finished model needs: `predict`, weights in and out. */
export function inferenceProgram(network: Computation, precision: Precision): Program {
  const weights = network.variables.map(variableOf);
  return buildProgram({
    variables: weights,
    precision,
    functions: { predict: predictFunction(network) },
    accessible: weights.map((variable) => variable.name),
  });
}

const encoderInputsOf = (inputs: NamedTensors): EncoderInputs => ({
  inputIds: inputs.inputIds!,
  tokenTypeIds: inputs.tokenTypeIds!,
  attentionMask: inputs.attentionMask!,
});

function labelsOf({ labelled, variables }: Network): TensorSpec {
  switch (labelled) {
    case 'example':
      return { dtype: 'int32', shape: [dimension('batch')] };
    case 'token':
      return tokens;
    case 'label-set':
      // One for each entry of the head's bias, a classifier's last variable.
      return { dtype: 'int32', shape: [dimension('batch'), variables.at(-1)!.shape[0]!] };
  }
}

function trainFunction(options: TrainingProgramOptions): FunctionSpec {
  return {
    inputs: {
      ...encoderInputs,
      labels: labelsOf(options.network),
      dropoutSeed: { dtype: 'int32', shape: [2] },
      stepSize: scalar,
      epsilon: scalar,
      decayFactor: scalar,
    },
    build(inputs, variables) {
      const { loss, gradients } = lossAndGradients(options.network, inputs, variables);
      const norm = globalNorm(gradients);
      const { maxGradNorm } = options;
      const clipped = maxGradNorm > 0 ? clipByGlobalNorm(gradients, norm, maxGradNorm) : gradients;
      applyAdamW(
        variables,
        options.network.variables.map(({ name }, i) => ({ name, gradient: clipped[i]!, decayed: isDecayed(name) })),
        options.optimizer,
        { stepSize: inputs.stepSize!, epsilon: inputs.epsilon!, decayFactor: inputs.decayFactor! },
      );
      return { loss, gradNorm: norm };
    },
  };
}

/** The mean loss of a batch, and its gradient with respect to each of the network's variables, in their order. */
export function lossAndGradients(
  network: Network,
  inputs: NamedTensors,
  variables: Pick<VariableScope, 'read'>,
): { loss: Tensor; gradients: Tensor[] } {
  const specs = network.variables;
  const values = specs.map(({ name }) => variables.read(name));
  const { value, grads } = tf.valueAndGrads((...given: Tensor[]) => {
    const byName = new Map(specs.map(({ name }, i) => [name, given[i]!]));
    const pass = { weights: (name: string) => byName.get(name)!, dropout: seededDropout(inputs.dropoutSeed!) };
    return network.loss(network.logits(pass, encoderInputsOf(inputs)), inputs.labels!, pass.weights) as Scalar;
  })(values);
  return { loss: value, gradients: grads };
}

function predictFunction(network: Computation): FunctionSpec {
  const { field } = network;
  return {
    inputs: field === undefined ? encoderInputs : { ...encoderInputs, wordMask: tokens, labels: tokens },
    build(inputs, variables) {
      const weights = variables.read.bind(variables);
      const logits = network.logits({ weights, dropout: noDropout }, encoderInputsOf(inputs));
      return { logits, ...field?.decode(logits, inputs.wordMask!, inputs.labels!, weights) };
    },
  };
}

/** Weights from their initializers: a pure function of `seed` (int32 [2]) and the variable's place in the list. */
function initializeFunction(specs: readonly VariableSpec[]): FunctionSpec {
  return {
    inputs: { seed: { dtype: 'int32', shape: [2] } },
    build({ seed }, variables) {
      specs.forEach(({ name, shape, initializer }, index) => {
        variables.assign(name, initialValue(shape, initializer, tf.add(seed!, tf.tensor1d([0, index + 1], 'int32'))));
      });
      return { seed: seed! };
    },
  };
}

function initialValue(shape: readonly number[], initializer: VariableSpec['initializer'], seed: Tensor): Tensor {
  if (initializer.kind !== 'truncatedNormal') return tf.fill([...shape], initializer.kind === 'ones' ? 1 : 0);
  const uniform = statelessRandomUniform(tf.tensor1d([...shape], 'int32'), seed);
  return tf.mul(truncatedNormal(uniform), initializer.standardDeviation);
}

/** The share of a normal distribution within two standard deviations, erf(sqrt(2)). */
const shareWithinTwo = 0.9544997361036416;

/**
 * Normal numbers within two standard deviations (the first weights of google-research/bert) of uniform ones in [0, 1),
 * by the inverse of their distribution: half the time of TensorFlow's StatelessTruncatedNormal, which draws and rejects.
 */
function truncatedNormal(uniform: Tensor): Tensor {
  const centred = tf.mul(tf.sub(uniform, 0.5), 2 * shareWithinTwo);
  return tf.mul(erfinv(centred), Math.SQRT2);
}

function resetFunction(moments: readonly Variable[]): FunctionSpec {
  return {
    inputs: {},
    build(_inputs, variables) {
      for (const { name, shape } of moments) variables.assign(name, tf.fill([...shape], 0));
      return { done: tf.scalar(moments.length, 'int32') };
    },
  };
}
