import {
  buildProgram,
  dimension,
  tf,
  type FunctionSpec,
  type Precision,
  type Program,
  type Tensor,
  type TensorSpec,
  type Variable,
} from '../graph/index.js';
import { hasFusedOps } from '../graph/fused-ops.js';
import { erfinv, filled, statelessRandomUniform } from '../graph/ops.js';
import { noDropout } from '../models/dropout.js';
import type { Network } from '../models/network.js';
import { isDecayed, type VariableSpec } from '../models/variables.js';
import { addToSums, sumName, takeSum } from './accumulation.js';
import { averageName, updateAverages } from './average.js';
import { encoderInputsOf, lossAndGradients, trainedNames } from './gradients.js';
import { clipFactor, factorInput, globalNorm, type Optimizer } from './optimizer.js';
import { distinctFactors, plainStep, type Techniques } from './techniques.js';

export interface TrainingProgramOptions {
  readonly network: Network;
  readonly precision: Precision;
  readonly optimizer: Optimizer;
  /** Gradients are scaled down to this global norm; 0: never. */
  readonly maxGradNorm: number;
  /** The variables that `initialize` sets; undefined: all. */
  readonly fresh?: readonly string[];
  /** Absent: the plain step. */
  readonly techniques?: Techniques;
}

const tokens: TensorSpec = { dtype: 'int32', shape: [dimension('batch'), dimension('sequence')] };
const encoderInputs = { inputIds: tokens, tokenTypeIds: tokens, attentionMask: tokens };
const scalar: TensorSpec = { dtype: 'float32', shape: [] };

const variableOf = ({ name, shape }: VariableSpec): Variable => ({ name, shape, dtype: 'float32' });

/**
 * The whole of fine-tuning as one graph. Functions:
 * - `train`: one update; returns `loss` and `gradNorm` (before clipping). Nothing is updated where one of them is not
 *   finite or `applied` is 0
 * - `accumulate`: adds a batch's gradients to those that the next `train` takes; returns `loss`; only with accumulation
 * - `predict`: of the averaged weights where there is an average. `logits` [batch, labels] or [batch * sequence, labels]; of a network with a field also the likeliest labels,
 *   `tags` [batch, sequence], and each sentence's loss, `losses` [batch]
 * - `initialize`: random values for the fresh variables, from a seed; absent where none is fresh
 * - `resetOptimizer`: the optimizer's variables, averages and sums of gradients to zero
 * - `assign/<variable>`, `fetch/<variable>`, also of averages
 * - `save/...`, `restore/...` of the groups `weights`, `moments` (what the optimizer keeps) and, with an average, `averages`
 */
export function trainingProgram(options: TrainingProgramOptions): Program {
  const { network } = options;
  const specs = network.variables;
  const fresh = specs.filter((spec) => options.fresh === undefined || options.fresh.includes(spec.name));
  const weights = specs.map(variableOf);
  const techniques = options.techniques ?? plainStep;
  const { emaDecay, gradientAccumulation, frozen } = techniques;
  const trained = weights.filter(({ name }) => !frozen.has(name));
  const moments = trained.flatMap((weight) => options.optimizer.state(weight));
  const averages = emaDecay > 0 ? trained.map((weight) => ({ ...weight, name: averageName(weight.name) })) : [];
  const sums = gradientAccumulation > 1 ? trained.map((weight) => ({ ...weight, name: sumName(weight.name) })) : [];
  const weightNames = namesOf(weights);
  return buildProgram({
    variables: [...weights, ...moments, ...averages, ...sums],
    precision: options.precision,
    // The fused ops have no second derivative (tangents.ts).
    fused: hasFusedOps && techniques.gradientPenalty === 0,
    functions: {
      train: trainFunction(options),
      ...(sums.length > 0 ? { accumulate: accumulateFunction(options) } : {}),
      predict: predictFunction(network, (name) => valueName(name, techniques)),
      ...(fresh.length > 0 ? { initialize: initializeFunction(fresh) } : {}),
      resetOptimizer: resetFunction([...moments, ...averages, ...sums]),
    },
    accessible: [...weightNames, ...namesOf(averages)],
    checkpoints: {
      weights: weightNames,
      moments: namesOf(moments),
      ...(averages.length > 0 ? { averages: namesOf(averages) } : {}),
    },
  });
}

/** The variable that holds what predictions are made with. */
export const valueName = (name: string, { emaDecay, frozen }: Techniques): string =>
  emaDecay > 0 && !frozen.has(name) ? averageName(name) : name;

const namesOf = (variables: readonly Variable[]): string[] => variables.map(({ name }) => name);

/** What a network computes, whatever it is trained for. */
type Computation = Pick<Network, 'variables' | 'logits' | 'field'>;

/** The part of the graph that a finished model needs: `predict`, weights in and out. */
export function inferenceProgram(network: Computation, precision: Precision): Program {
  const weights = network.variables.map(variableOf);
  return buildProgram({
    variables: weights,
    precision,
    fused: hasFusedOps,
    functions: { predict: predictFunction(network) },
    accessible: weights.map((variable) => variable.name),
  });
}

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

const batchInputs = (network: Network) => ({
  ...encoderInputs,
  labels: labelsOf(network),
  dropoutSeed: { dtype: 'int32', shape: [2] } as const,
});

function trainFunction(options: TrainingProgramOptions): FunctionSpec {
  const { network, maxGradNorm, optimizer } = options;
  const techniques = options.techniques ?? plainStep;
  const { emaDecay, gradientAccumulation, rateFactors } = techniques;
  const names = trainedNames(network, techniques);
  const factors = distinctFactors(techniques);
  const rates: TensorSpec = factors.length > 1 ? { dtype: 'float32', shape: [factors.length] } : scalar;
  return {
    inputs: {
      ...batchInputs(network),
      ...Object.fromEntries(optimizer.factorNames.map((name) => [factorInput(name), rates])),
      applied: scalar,
      ...(gradientAccumulation > 1 ? { share: scalar } : {}),
      ...(emaDecay > 0 ? { averageShare: scalar } : {}),
    },
    build(inputs, variables) {
      const { loss, gradients: own } = lossAndGradients(network, inputs, variables, techniques);
      const { share, averageShare } = inputs;
      const gradients = share === undefined ? own : names.map((name, i) => takeSum(variables, name, own[i]!, share));
      const norm = globalNorm(gradients);
      const gradientFactor = maxGradNorm > 0 ? clipFactor(norm, maxGradNorm) : tf.scalar(1);
      const updates = names.map((name, i) => ({ name, gradient: gradients[i]!, decayed: isDecayed(name) }));
      const isFinite = tf.logicalAnd(tf.isFinite(loss), tf.isFinite(norm));
      variables.onlyIf(tf.logicalAnd(isFinite, tf.greater(inputs.applied!, 0)), () => {
        factors.forEach((factor, i) => {
          const ofFactor = (tensor: Tensor): Tensor =>
            factors.length > 1 ? tf.reshape(tf.slice(tensor, [i], [1]), []) : tensor;
          optimizer.apply(
            variables,
            updates.filter(({ name }) => (rateFactors.get(name) ?? 1) === factor),
            Object.fromEntries(optimizer.factorNames.map((name) => [name, ofFactor(inputs[factorInput(name)]!)])),
            gradientFactor,
          );
        });
        if (averageShare !== undefined) updateAverages(variables, names, averageShare);
      });
      return { loss, gradNorm: norm };
    },
  };
}

function accumulateFunction({ network, techniques = plainStep }: TrainingProgramOptions): FunctionSpec {
  return {
    inputs: { ...batchInputs(network), share: scalar },
    build(inputs, variables) {
      const { loss, gradients } = lossAndGradients(network, inputs, variables, techniques);
      const names = trainedNames(network, techniques);
      addToSums(
        variables,
        names.map((name, i) => ({ name, gradient: gradients[i]! })),
        inputs.share!,
      );
      return { loss };
    },
  };
}

/** @param storedAs the variable that holds a weight's value; absent: its own */
function predictFunction(network: Computation, storedAs = (name: string): string => name): FunctionSpec {
  const { field } = network;
  return {
    inputs: field === undefined ? encoderInputs : { ...encoderInputs, wordMask: tokens, labels: tokens },
    build(inputs, variables) {
      const weights = (name: string): Tensor => variables.read(storedAs(name));
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

/** The zero is fed, since TensorFlow would make one constant of it for each shape, as large as the variables, and keep it. */
function resetFunction(moments: readonly Variable[]): FunctionSpec {
  return {
    inputs: { value: scalar },
    build({ value }, variables) {
      for (const { name, shape } of moments) variables.assign(name, filled(shape, value!));
      return { done: tf.scalar(moments.length, 'int32') };
    },
  };
}
