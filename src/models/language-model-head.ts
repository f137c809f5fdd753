import type { Tensor } from '../graph/index.js';
import type { ActivationName } from './activation-names.js';
import { activations } from './activations.js';
import { addBias, similarities, type Pass } from './layers.js';
import type { Head } from './model.js';
import { hiddenStates, linear, normalise, type Encoder } from './transformer.js';
import { biasVariable, denseVariables, layerNormVariables, tableVariable, type VariableSpec } from './variables.js';

/** How a family predicts masked words. */
export interface LanguageModelSettings {
  /** The scope of `dense` and `LayerNorm`. */
  readonly scope: string;
  /** The bias of the vocabulary, a variable's name. */
  readonly bias: string;
  /** The table of the words, a variable's name: a word's logit is how near its row is. */
  readonly words: string;
  /** A matrix [E, width] that the states are narrowed by to the words' own width, a variable's name. */
  readonly projection?: string;
  readonly vocabulary: number;
  /** The width of what is compared with the words. */
  readonly width: number;
  readonly activation: ActivationName;
  readonly epsilon: number;
  readonly deviation: number;
  /** Whether the logits come from the words' own table; else from `cls/predictions/decoder/output_weights`. */
  readonly tied: boolean;
}

const untiedTable = 'cls/predictions/decoder/output_weights';

/** A dense layer, activation and LayerNorm, then the likeness to each word and its bias: [N, V]. */
export function maskedLanguageModelHead(encoder: Encoder, settings: LanguageModelSettings): Head {
  const { scope, vocabulary, width, deviation, tied } = settings;
  const variables: VariableSpec[] = [
    ...denseVariables(`${scope}/dense`, encoder.settings.hidden, width, deviation, 'head'),
    ...layerNormVariables(`${scope}/LayerNorm`, width, 'head'),
    biasVariable(settings.bias, vocabulary, 'head'),
    ...(tied ? [] : [tableVariable(untiedTable, vocabulary, width, deviation, 'head')]),
  ];
  return {
    variables,
    pools: false,
    logits: (pass, inputs) => wordLogits(pass, settings, hiddenStates(encoder, pass, inputs)),
  };
}

function wordLogits(pass: Pass, settings: LanguageModelSettings, states: Tensor): Tensor {
  const { scope, activation, epsilon, words, projection, bias, tied } = settings;
  const transformed = activations[activation](linear(pass, `${scope}/dense`, states)); // [N, width]
  const normal = normalise(pass, `${scope}/LayerNorm`, transformed, epsilon);
  const compared = projection === undefined ? normal : similarities(normal, pass.weights(projection));
  return addBias(similarities(compared, pass.weights(tied ? words : untiedTable)), pass.weights(bias)); // [N, V]
}
