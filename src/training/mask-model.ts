import { planLoad, type Checkpoint } from '../checkpoints/checkpoint.js';
import type { Batch } from '../data/batches.js';
import { UserError } from '../errors.js';
import {
  buildProgram,
  dimension,
  openSession,
  tf,
  type Precision,
  type Program,
  type TensorSpec,
} from '../graph/index.js';
import { noDropout } from '../models/dropout.js';
import { maskedLanguageModel, type Network } from '../models/network.js';
import { readAllWeights, spelled } from './finished-model.js';
import { explainNativeFailure } from './native-failure.js';
import { loadWeights } from './weights.js';

/** A pretrained model with its language-model head. */
export interface MaskModel {
  /**
   * Probabilities of the words of the vocabulary at some tokens of a batch, row-major [positions, vocabulary].
   *
   * @param positions row * batch.length + token, for each row and token that is asked for
   */
  predict(batch: Batch, positions: Int32Array): Float32Array;
  dispose(): void;
}

/** The language model of a checkpoint. Throws UserError 'files' where its head was left out: it is never random. */
export function maskNetwork(checkpoint: Checkpoint): Network {
  const network = maskedLanguageModel(checkpoint.config);
  const { fresh } = planLoad(checkpoint, network.variables, true);
  const missing = network.variables.filter(({ name, part }) => part !== 'optional' && fresh.includes(name));
  if (missing.length === 0) return network;
  throw new UserError(
    'files',
    `${checkpoint.folder} has no language-model head, so it fills no masks: ${spelled(checkpoint, missing).join(', ')} ` +
      `${missing.length === 1 ? 'is' : 'are'} missing`,
    'Expected a pretrained model with its head, such as hf:google-bert/bert-base-uncased; encoders of sentences and\n' +
      'fine-tuned models were published without.',
  );
}

/** Loads the weights of a language model. */
export function openMaskModel(checkpoint: Checkpoint, network: Network, precision: Precision): MaskModel {
  const weights = readAllWeights(checkpoint, network);
  const session = openSession(maskProgram(network, precision));
  try {
    loadWeights(weights, (calls) => session.runTogether(calls));
  } catch (error) {
    session.dispose();
    throw explainNativeFailure(error, { kind: 'weights' });
  }
  return {
    predict(batch, positions) {
      try {
        return predict(session, batch, positions);
      } catch (error) {
        throw explainNativeFailure(error, { kind: 'predict', batch });
      }
    },
    dispose: () => {
      session.dispose();
    },
  };
}

function predict(session: ReturnType<typeof openSession>, batch: Batch, positions: Int32Array): Float32Array {
  const shape = [batch.size, batch.length];
  const { probabilities } = session.run('predict', {
    inputIds: { shape, data: batch.inputIds },
    tokenTypeIds: { shape, data: batch.tokenTypeIds },
    attentionMask: { shape, data: batch.attentionMask },
    positions: { shape: [positions.length], data: positions },
  });
  if (!(probabilities?.data instanceof Float32Array)) throw new TypeError("the graph's probabilities are not float32");
  return probabilities.data;
}

const tokens: TensorSpec = { dtype: 'int32', shape: [dimension('batch'), dimension('sequence')] };

/** `predict`: `probabilities` [positions, vocabulary] at `positions`, which count the tokens of all rows. */
function maskProgram(network: Network, precision: Precision): Program {
  const variables = network.variables.map(({ name, shape }) => ({ name, shape, dtype: 'float32' as const }));
  return buildProgram({
    variables,
    precision,
    functions: {
      predict: {
        inputs: {
          inputIds: tokens,
          tokenTypeIds: tokens,
          attentionMask: tokens,
          positions: { dtype: 'int32', shape: [dimension('positions')] },
        },
        build(inputs, scope) {
          const pass = { weights: scope.read.bind(scope), dropout: noDropout };
          const logits = network.logits(pass, {
            inputIds: inputs.inputIds!,
            tokenTypeIds: inputs.tokenTypeIds!,
            attentionMask: inputs.attentionMask!,
          }); // [N, V]
          return { probabilities: tf.softmax(tf.gather(logits, inputs.positions!)) };
        },
      },
    },
    accessible: variables.map(({ name }) => name),
  });
}
