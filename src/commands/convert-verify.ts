import { planLoad, type Checkpoint } from '../checkpoints/checkpoint.js';
import { openCheckpoint } from '../checkpoints/open.js';
import type { Batch } from '../data/batches.js';
import { maxTokens, tokenTypes, type ModelConfig } from '../models/model-config.js';
import { maskedLanguageModel, modelOf, type Network } from '../models/network.js';
import { inferenceProgram } from '../training/program.js';
import { openModel } from '../training/trainer.js';
import type { Reporter } from '../ui/reporter.js';

/** What both models may differ by: nothing, if the conversion is right; this is for the order of sums. */
const tolerance = 1e-5;

/**
 * Runs a checkpoint and what was written of it on a few sequences: the vocabulary's logits where there is a head for
 * them, else the hidden states.
 *
 * @returns the largest difference
 * @throws Error where it is above the tolerance: the conversion is wrong
 */
export function compareModels(source: Checkpoint, folder: string, ui: Reporter): number {
  const spinner = ui.spinner('running both models');
  try {
    const written = openCheckpoint(folder);
    try {
      const difference = largestDifference(outputs(source), outputs(written));
      if (!(difference <= tolerance)) {
        throw new Error(`what was written computes something else than its source: they differ by ${difference}`);
      }
      spinner.succeed(`both models compute the same, to ${difference.toExponential(1)}`);
      return difference;
    } finally {
      written.close();
    }
  } catch (error) {
    spinner.stop();
    throw error;
  }
}

/** The models one after the other, so that one at a time is in memory. */
function outputs(checkpoint: Checkpoint): Float32Array {
  const { config } = checkpoint;
  const words = maskedLanguageModel(config);
  const hasHead = planLoad(checkpoint, words.variables, true).fresh.every((name) => isInitial(words, name));
  const encoder = modelOf(config);
  const network = hasHead ? words : { variables: encoder.variables, logits: encoder.hiddenStates };
  const found = new Map(
    planLoad(checkpoint, network.variables, true).loaded.map(({ spec, read }) => [spec.name, read]),
  );
  const model = openModel(inferenceProgram(network, 'fp32'));
  try {
    model.load(
      network.variables.map(({ name, shape }) => {
        const zeros = (): Float32Array => new Float32Array(shape.reduce((product, size) => product * size, 1));
        // What the checkpoint may lack means zeros: segments.
        return { name, shape, read: found.get(name) ?? zeros };
      }),
    );
    return model.predict(probe(config)).logits;
  } finally {
    model.dispose();
  }
}

const isInitial = ({ variables }: Network, name: string): boolean =>
  variables.some((spec) => spec.name === name && spec.part === 'optional');

/** Three sequences of different lengths with words from all over the vocabulary, padded to one. */
function probe(config: ModelConfig): Batch {
  const length = Math.min(maxTokens(config), 16);
  const lengths = [length, Math.max(1, length - 5), 1];
  const pad = config.pad_token_id ?? 0;
  const size = lengths.length;
  const batch: Batch = {
    size,
    length,
    inputIds: new Int32Array(size * length).fill(pad),
    tokenTypeIds: new Int32Array(size * length),
    attentionMask: new Int32Array(size * length),
    labels: new Int32Array(size).fill(-1),
    labelled: 'example',
    indices: Int32Array.from(lengths, (_, row) => row),
    tokens: lengths.reduce((sum, count) => sum + count, 0),
  };
  const types = Math.max(1, tokenTypes(config));
  lengths.forEach((count, row) => {
    for (let i = 0; i < count; i++) {
      // A step that shares no factor with most sizes, so that the ids spread.
      const id = ((row * length + i + 1) * 7919) % config.vocab_size;
      const place = row * length + i;
      batch.inputIds[place] = id === pad ? (id + 1) % config.vocab_size : id;
      batch.tokenTypeIds[place] = i >= count / 2 ? types - 1 : 0;
      batch.attentionMask[place] = 1;
    }
  });
  return batch;
}

/** NaN where only one of them has it. */
function largestDifference(first: Float32Array, second: Float32Array): number {
  if (first.length !== second.length) return Infinity;
  let largest = 0;
  for (let i = 0; i < first.length; i++) {
    if (Object.is(first[i], second[i])) continue;
    const difference = Math.abs(first[i]! - second[i]!);
    if (!(difference <= largest)) largest = difference;
    if (Number.isNaN(largest)) return NaN;
  }
  return largest;
}
