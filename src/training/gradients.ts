import type { NamedTensors, Tensor, VariableScope } from '../graph/index.js';
import { seededDropout } from '../models/dropout.js';
import type { Pass, Weights } from '../models/layers.js';
import type { Network } from '../models/network.js';
import type { EncoderInputs } from '../models/transformer.js';
import { adversarialSlopes, isWordTable } from './adversary.js';
import { differentiate, type Slopes, type Step, type Values } from './differentiate.js';
import { penalisedSlopes } from './gradient-penalty.js';
import { repeatedLoss } from './r-drop.js';
import { plainStep, type Techniques } from './techniques.js';
import { virtualSlopes } from './virtual-adversary.js';

/** What a batch's loss is, and where it leads: all that a training step needs of the network. */

export const encoderInputsOf = (inputs: NamedTensors): EncoderInputs => ({
  inputIds: inputs.inputIds!,
  tokenTypeIds: inputs.tokenTypeIds!,
  attentionMask: inputs.attentionMask!,
});

/** The variables that are trained, in the network's order. */
export const trainedNames = (network: Network, { frozen }: Pick<Techniques, 'frozen'>): string[] =>
  network.variables.map(({ name }) => name).filter((name) => !frozen.has(name));

type LossTechniques = Pick<
  Techniques,
  'adversary' | 'virtualAdversary' | 'gradientPenalty' | 'rDrop' | 'frozen' | 'recompute'
>;

/**
 * The mean loss of a batch, and its gradient with respect to each of the network's variables that are trained, in their
 * order. What techniques make of both, their files say; that of R-Drop is the loss that others then work on.
 */
export function lossAndGradients(
  network: Network,
  inputs: NamedTensors,
  variables: Pick<VariableScope, 'read'>,
  techniques: LossTechniques = plainStep,
): { loss: Tensor; gradients: Tensor[] } {
  const values: Values = new Map(network.variables.map(({ name }) => [name, variables.read(name)]));
  const trained = trainedNames(network, techniques);
  const { loss, gradients } = slopesOf(network, inputs, values, trained, techniques);
  return { loss, gradients: trained.map((name) => gradients.get(name)!) };
}

function slopesOf(
  network: Network,
  inputs: NamedTensors,
  values: Values,
  trained: readonly string[],
  { adversary, virtualAdversary, gradientPenalty, rDrop, recompute }: LossTechniques,
): Slopes {
  const { dropoutSeed: seed, labels } = inputs as { dropoutSeed: Tensor; labels: Tensor };
  const dropout = seededDropout(seed);
  const logits = (pass: Pass): Tensor => network.logits(pass, encoderInputsOf(inputs));
  // Each pass that is asked for goes on with masks of its own.
  const lossAt = (weights: Weights): Tensor => {
    const pass = { weights, dropout, recompute, hasGradient: true };
    if (rDrop > 0) return repeatedLoss(network, () => logits(pass), labels, weights, rDrop);
    return network.loss(logits(pass), labels, weights);
  };
  const table = [...values.keys()].find(isWordTable);
  if (table === undefined) return differentiate(lossAt, values, trained);
  const step: Step = { values, trained, table };
  if (adversary !== undefined) return adversarialSlopes(lossAt, step, adversary);
  if (gradientPenalty > 0) return penalisedSlopes(lossAt, step, gradientPenalty);
  if (virtualAdversary === undefined) return differentiate(lossAt, values, trained);
  const sameMasks = (weights: Weights): Tensor =>
    logits({ weights, dropout: dropout.copy(), recompute, hasGradient: true });
  return virtualSlopes(network, sameMasks, labels, step, virtualAdversary, seed);
}
