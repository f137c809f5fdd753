import { openSession, productFlops, type Call, type HostTensor, type Program, type Session } from '../graph/index.js';
import type { Batch } from '../data/batches.js';
import { isSum, sharesOf, type LossCount } from './accumulation.js';
import { averageShare } from './average.js';
import { explainNativeFailure, type NativeActivity } from './native-failure.js';
import { factorInput, type Optimizer } from './optimizer.js';
import { valueName } from './program.js';
import { distinctFactors, plainStep, type Techniques } from './techniques.js';
import { bytesOf, loadWeights, weightReader, type Weight, type WeightValues } from './weights.js';

/** What a model says of a batch. */
export interface Outputs {
  /** Row-major [batch.size, labels], or of tokens [batch.size * batch.length, labels]. */
  readonly logits: Float32Array;
  /** Of a network whose labels depend on each other. */
  readonly field:
    | {
        /** The likeliest label of each token that words are labelled at, [batch.size, batch.length]. */
        readonly tags: Int32Array;
        /** Of each sentence, [batch.size]. */
        readonly losses: Float32Array;
      }
    | undefined;
}

/** A loaded model: forward passes, and its weights in and out. */
export interface Model {
  predict(batch: Batch): Outputs;
  load(weights: readonly Weight[]): void;
  /** A function that gives a weight's values, averaged where there is an average; cheapest where it is asked in the order of the program's variables. */
  weightReader(): WeightValues;
  dispose(): void;
}

/** A model in training. */
export interface Trainer extends Model {
  /** Random values for the fresh variables, zeros for what the optimizer keeps. */
  initialize(seed: number): void;
  /**
   * One update from the mean over all examples of the batches. `step` counts from 0. Where the loss or the norm of the
   * gradients is not finite, nothing is changed.
   */
  step(batches: readonly Batch[], step: number, learningRate: number): { loss: number; gradNorm: number };
  /**
   * Floating-point operations of the matrix products of a step with these batches, of all its passes; NaN where they hang on
   * more than the sizes of the batches: where there are products in a loop.
   */
  flops(batches: readonly Batch[]): number;
  /** What `save` writes, but for names and the like. */
  readonly checkpointBytes: number;
  /** The work of a step with this batch, and its memory; nothing is changed. */
  rehearse(batch: Batch): void;
  /** Writes TensorFlow checkpoints: `weights.*`, `moments.*` and, with an average, `averages.*`. */
  save(folder: string): void;
  restore(folder: string): void;
  /** What predictions need: the weights and their average, without the optimizer's moments. */
  restoreWeights(folder: string): void;
  /** Gives the weights that predictions are made with, averaged where there is an average, as `weightReader` reads them. */
  loadPredicted(weights: readonly Weight[]): void;
}

const scalar = (value: number): HostTensor => ({ shape: [], data: Float32Array.of(value) });
const text = (value: string): HostTensor => ({ shape: [], data: [value] });

function inputsOf({ size, length, inputIds, tokenTypeIds, attentionMask }: Batch): Record<string, HostTensor> {
  const shape = [size, length];
  return {
    inputIds: { shape, data: inputIds },
    tokenTypeIds: { shape, data: tokenTypeIds },
    attentionMask: { shape, data: attentionMask },
  };
}

const labelsShape = ({ labelled, size, labels }: Batch): number[] =>
  labelled === 'example' ? [size] : [size, labels.length / size];

function fieldInputsOf({ size, length, wordMask, labels }: Batch): Record<string, HostTensor> {
  if (wordMask === undefined) throw new TypeError('the batch does not say where its words are');
  const shape = [size, length];
  return { wordMask: { shape, data: wordMask }, labels: { shape, data: labels } };
}

/** Loads an inference program. */
export function openModel(program: Program): Model {
  const session = openSession(program);
  return modelOf(program, session);
}

type Results = Record<string, HostTensor>;

/** Runs functions of the session; what fails for the machine's reasons becomes a UserError. */
function runTogether(session: Session, calls: readonly Call[], activity: NativeActivity): Results[] {
  try {
    return session.runTogether(calls);
  } catch (error) {
    throw explainNativeFailure(error, activity);
  }
}

type Run = (name: string, inputs: Call['inputs'], activity: NativeActivity) => Results;

const runnerOf =
  (session: Session): Run =>
  (name, inputs, activity) =>
    runTogether(session, [{ name, inputs }], activity)[0]!;

const weights: NativeActivity = { kind: 'weights' };

function modelOf(program: Program, session: Session): Model {
  const run = runnerOf(session);
  const hasField = program.signatures.predict?.outputs.tags !== undefined;
  const transfer = (calls: readonly Call[]): Results[] => runTogether(session, calls, weights);
  const accessible = program.variables.filter(({ name }) => `fetch/${name}` in program.signatures);
  return {
    predict(batch) {
      const given = hasField ? { ...inputsOf(batch), ...fieldInputsOf(batch) } : inputsOf(batch);
      const results = run('predict', given, { kind: 'predict', batch });
      const field = hasField ? { tags: integers(results, 'tags'), losses: floats(results, 'losses') } : undefined;
      return { logits: floats(results, 'logits'), field };
    },
    load: (given) => {
      loadWeights(given, transfer);
    },
    weightReader: () => weightReader(accessible, transfer),
    dispose: () => {
      session.dispose();
    },
  };
}

export interface TrainerOptions {
  /** That of the program. */
  readonly optimizer: Optimizer;
  /** Decides the dropout masks, together with the step. */
  readonly seed: number;
  /** Those of the program; absent: the plain step. */
  readonly techniques?: Techniques;
  /** What a batch's loss is a mean over, where several batches make a step; absent: its examples. */
  readonly lossCount?: LossCount;
}

/** Loads a training program. */
export function openTrainer(program: Program, { optimizer, seed, ...options }: TrainerOptions): Trainer {
  const { techniques = plainStep, lossCount = (batch: Batch) => batch.size } = options;
  const { emaDecay, gradientAccumulation } = techniques;
  const session = openSession(program);
  const run = runnerOf(session);
  const model = modelOf(program, session);
  const rateFactors = distinctFactors(techniques);
  const rates = (values: readonly number[]): HostTensor =>
    values.length === 1 ? scalar(values[0]!) : { shape: [values.length], data: Float32Array.from(values) };
  const flopsOf = productFlops(program, 'train');
  const flopsOfEarlier = gradientAccumulation > 1 ? productFlops(program, 'accumulate') : undefined;
  const valueGroups = emaDecay > 0 ? ['weights', 'averages'] : ['weights'];
  const restore = (path: string, group: string): void => {
    run(`restore/${group}`, { path: text(`${path}/${group}`) }, { kind: 'restore', path });
  };
  /** A batch of a step; `place` counts them from 0. */
  const trainingInputs = (batch: Batch, step: number, place: number, share: number): Record<string, HostTensor> => ({
    ...inputsOf(batch),
    labels: { shape: labelsShape(batch), data: batch.labels },
    dropoutSeed: { shape: [2], data: Int32Array.of(seed, step * gradientAccumulation + place) },
    ...(gradientAccumulation > 1 ? { share: scalar(share) } : {}),
  });
  /** What the update is made with; `applied`: whether it is made. */
  const updateInputs = (step: number, learningRate: number, applied: boolean): Record<string, HostTensor> => {
    const factors = rateFactors.map((factor) => optimizer.factors(learningRate * factor, step + 1));
    return {
      ...Object.fromEntries(
        optimizer.factorNames.map((name) => [factorInput(name), rates(factors.map((of) => of[name]!))]),
      ),
      applied: scalar(applied ? 1 : 0),
      ...(emaDecay > 0 ? { averageShare: scalar(averageShare(emaDecay, step + 1)) } : {}),
    };
  };
  return {
    ...model,
    weightReader() {
      const read = model.weightReader();
      return (name) => read(valueName(name, techniques));
    },
    initialize(initialSeed) {
      if ('initialize' in program.signatures) {
        run('initialize', { seed: { shape: [2], data: Int32Array.of(initialSeed, 0) } }, weights);
      }
      run('resetOptimizer', { value: { shape: [], data: Float32Array.of(0) } }, weights);
    },
    step(batches, step, learningRate) {
      if (batches.length === 0 || batches.length > gradientAccumulation) {
        throw new TypeError(`a step of ${batches.length} batches, expected 1 to ${gradientAccumulation}`);
      }
      const shares = sharesOf(batches, lossCount);
      const last = batches.length - 1;
      let loss = 0;
      for (const [place, batch] of batches.slice(0, last).entries()) {
        const inputs = trainingInputs(batch, step, place, shares[place]!);
        const outputs = run('accumulate', inputs, { kind: 'train', batch });
        loss += shares[place]! * floats(outputs, 'loss')[0]!;
      }
      const batch = batches[last]!;
      const applied = Number.isFinite(loss);
      const inputs = {
        ...trainingInputs(batch, step, last, shares[last]!),
        ...updateInputs(step, learningRate, applied),
      };
      const outputs = run('train', inputs, { kind: 'train', batch });
      loss += (last === 0 ? 1 : shares[last]!) * floats(outputs, 'loss')[0]!;
      return { loss, gradNorm: floats(outputs, 'gradNorm')[0]! };
    },
    rehearse(batch) {
      const inputs = { ...trainingInputs(batch, 0, 0, 1), ...updateInputs(0, 0, false) };
      run('train', inputs, { kind: 'train', batch });
    },
    flops: (batches) =>
      batches
        .map(({ size, length }, place) => {
          const of = place === batches.length - 1 ? flopsOf : flopsOfEarlier;
          return of?.({ batch: size, sequence: length }) ?? NaN;
        })
        .reduce((sum, flops) => sum + flops, 0),
    // Sums of gradients are 0 between two steps.
    checkpointBytes: bytesOf(program.variables.filter(({ name }) => !isSum(name))),
    save(folder) {
      // In one call: at the same time, where TF_NUM_INTEROP_THREADS allows more than one op.
      const calls = [...valueGroups, 'moments'].map((group) => ({
        name: `save/${group}`,
        inputs: { path: text(`${folder}/${group}`) },
      }));
      runTogether(session, calls, { kind: 'save', path: folder });
    },
    restore(folder) {
      for (const group of [...valueGroups, 'moments']) restore(folder, group);
    },
    restoreWeights(folder) {
      for (const group of valueGroups) restore(folder, group);
    },
    loadPredicted(weights) {
      model.load(weights.map((weight) => ({ ...weight, name: valueName(weight.name, techniques) })));
    },
  };
}

function integers(outputs: Readonly<Record<string, HostTensor>>, name: string): Int32Array {
  const data = outputs[name]?.data;
  if (!(data instanceof Int32Array)) throw new TypeError(`the graph's output ${name} is not int32`);
  return data;
}

function floats(outputs: Readonly<Record<string, HostTensor>>, name: string): Float32Array {
  const data = outputs[name]?.data;
  if (!(data instanceof Float32Array)) throw new TypeError(`the graph's output ${name} is not float32`);
  return data;
}
