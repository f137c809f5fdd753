import { openSession, type HostTensor, type Program, type Session } from '../graph/index.js';
import type { Batch } from '../data/batches.js';
import { adamWFactors, type AdamWSettings } from './optimizer.js';

/** A loaded model: forward passes, and its weights one by one. */
export interface Model {
  /** Logits of a batch, row-major [batch.size, labels]. */
  predict(batch: Batch): Float32Array;
  assign(name: string, shape: readonly number[], values: Float32Array): void;
  fetch(name: string): Float32Array;
  dispose(): void;
}

/** A model in training. */
export interface Trainer extends Model {
  /** Random values for the fresh variables, zeros for the optimizer's moments. */
  initialize(seed: number): void;
  /** One update. `step` counts from 0. */
  step(batch: Batch, step: number, learningRate: number): { loss: number; gradNorm: number };
  /** Writes `prefix.weights.*` and `prefix.moments.*`, TensorFlow checkpoints. */
  save(folder: string): void;
  restore(folder: string): void;
  /** The weights only, without the optimizer's moments. */
  restoreWeights(folder: string): void;
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

/** Loads an inference program. */
export function openModel(program: Program): Model {
  return modelOf(openSession(program));
}

function modelOf(session: Session): Model {
  return {
    predict: (batch) => floats(session.run('predict', inputsOf(batch)), 'logits'),
    assign: (name, shape, data) => {
      session.run(`assign/${name}`, { value: { shape, data } });
    },
    fetch: (name) => floats(session.run(`fetch/${name}`, {}), 'value'),
    dispose: () => {
      session.dispose();
    },
  };
}

/** Loads a training program. `seed` decides the dropout masks, together with the step. */
export function openTrainer(program: Program, optimizer: AdamWSettings, seed: number): Trainer {
  const session = openSession(program);
  return {
    ...modelOf(session),
    initialize(initialSeed) {
      if ('initialize' in program.signatures) {
        session.run('initialize', { seed: { shape: [2], data: Int32Array.of(initialSeed, 0) } });
      }
      session.run('resetOptimizer', {});
    },
    step(batch, step, learningRate) {
      const factors = adamWFactors(optimizer, learningRate, step + 1);
      const outputs = session.run('train', {
        ...inputsOf(batch),
        labels: { shape: [batch.size], data: batch.labels },
        dropoutSeed: { shape: [2], data: Int32Array.of(seed, step) },
        stepSize: scalar(factors.stepSize),
        epsilon: scalar(factors.epsilon),
        decayFactor: scalar(factors.decayFactor),
      });
      return { loss: floats(outputs, 'loss')[0]!, gradNorm: floats(outputs, 'gradNorm')[0]! };
    },
    save(folder) {
      session.run('save/weights', { path: text(`${folder}/weights`) });
      session.run('save/moments', { path: text(`${folder}/moments`) });
    },
    restore(folder) {
      session.run('restore/weights', { path: text(`${folder}/weights`) });
      session.run('restore/moments', { path: text(`${folder}/moments`) });
    },
    restoreWeights(folder) {
      session.run('restore/weights', { path: text(`${folder}/weights`) });
    },
  };
}

function floats(outputs: Readonly<Record<string, HostTensor>>, name: string): Float32Array {
  const data = outputs[name]?.data;
  if (!(data instanceof Float32Array)) throw new TypeError(`the graph's output ${name} is not float32`);
  return data;
}
