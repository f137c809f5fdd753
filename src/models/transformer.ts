import { recomputed, tf, type Tensor } from '../graph/index.js';
import { activations } from './activations.js';
import type { ActivationName } from './activation-names.js';
import { attention, joinedAttention, joinsAttention, type Three } from './attention.js';
import { addLayerNorm, dense, embedding, firstRows, layerNorm, type Pass } from './layers.js';
import { denseVariables, layerNormVariables, type VariableSpec } from './variables.js';

/**
 * The encoder that all the families stand on: embeddings, and layers that normalise after each residual sum (Vaswani et
 * al., arXiv:1706.03762; Devlin et al., arXiv:1810.04805). Which layers, how wide and under which names the family says.
 * Letters: B batch, S sequence, N = B * S, H hidden, A heads, D = H / A, I intermediate.
 */

export interface EncoderInputs {
  /** int32 [B, S] */
  readonly inputIds: Tensor;
  /** int32 [B, S]: 0 for the first segment, 1 for the second */
  readonly tokenTypeIds: Tensor;
  /** int32 [B, S]: 1 for a real token, 0 for padding */
  readonly attentionMask: Tensor;
}

/** The scopes of a layer's variables; each holds `kernel` and `bias`, the norms `gamma` and `beta`. */
export interface LayerScopes {
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly attentionOutput: string;
  readonly attentionNorm: string;
  readonly intermediate: string;
  readonly output: string;
  readonly outputNorm: string;
}

/** What is the same in every layer of a model. Rates are those of dropout. */
export interface LayerSettings {
  readonly hidden: number;
  readonly heads: number;
  readonly intermediate: number;
  readonly activation: ActivationName;
  readonly epsilon: number;
  readonly attentionRate: number;
  readonly attentionOutputRate: number;
  readonly outputRate: number;
}

/** A family's encoder behind its embeddings. Layers that share their weights have the same scopes. */
export interface Encoder {
  readonly layers: readonly LayerScopes[];
  readonly settings: LayerSettings;
  /** [N, H] */
  readonly embed: (pass: Pass, inputs: EncoderInputs) => Tensor;
}

/** The variables of one layer, in the order of the forward pass. */
export function layerVariables(scopes: LayerScopes, settings: LayerSettings, deviation: number): VariableSpec[] {
  const { hidden, intermediate } = settings;
  return [
    ...denseVariables(scopes.query, hidden, hidden, deviation),
    ...denseVariables(scopes.key, hidden, hidden, deviation),
    ...denseVariables(scopes.value, hidden, hidden, deviation),
    ...denseVariables(scopes.attentionOutput, hidden, hidden, deviation),
    ...layerNormVariables(scopes.attentionNorm, hidden),
    ...denseVariables(scopes.intermediate, hidden, intermediate, deviation),
    ...denseVariables(scopes.output, intermediate, hidden, deviation),
    ...layerNormVariables(scopes.outputNorm, hidden),
  ];
}

/** The last layer's hidden states, [N, H]. */
export function hiddenStates(encoder: Encoder, pass: Pass, inputs: EncoderInputs): Tensor {
  const bias = paddingBias(inputs.attentionMask);
  const states = statesBeforeLast(encoder, pass, inputs, bias);
  return layer(encoder.layers.at(-1)!, encoder.settings, pass, states, states, bias);
}

/**
 * The last layer's hidden state of each sequence's first token, [B, H]: all that a sentence classifier looks at. The
 * last layer is computed for that token alone, which attends to all others; its other outputs would not be used.
 */
export function firstTokenState(encoder: Encoder, pass: Pass, inputs: EncoderInputs): Tensor {
  const { hidden } = encoder.settings;
  const bias = paddingBias(inputs.attentionMask);
  const [batch, length] = inputs.inputIds.shape as [number, number];
  const states = statesBeforeLast(encoder, pass, inputs, bias);
  const sequences = tf.reshape(states, [batch, length, hidden]);
  const first = tf.reshape(tf.slice(sequences, [0, 0, 0], [batch, 1, hidden]), [batch, hidden]);
  return layer(encoder.layers.at(-1)!, encoder.settings, pass, first, states, bias);
}

/** What the last layer is given, [N, H]. */
function statesBeforeLast({ layers, settings, embed }: Encoder, pass: Pass, inputs: EncoderInputs, bias: Tensor) {
  // With the last layer the backward pass begins: to compute it again would take time and save no memory.
  const compute = pass.recompute === true ? recomputedLayer : fullLayer;
  return layers
    .slice(0, -1)
    .reduce((states, scopes) => compute(scopes, settings, pass, states, bias), embed(pass, inputs));
}

/** One layer's output for all tokens, [N, H]. */
const fullLayer = (scopes: LayerScopes, settings: LayerSettings, pass: Pass, states: Tensor, bias: Tensor): Tensor =>
  layer(scopes, settings, pass, states, states, bias);

/** The same, of which only the input is kept for the backward pass: [N, H] instead of some 14 of them and the scores. */
function recomputedLayer(scopes: LayerScopes, settings: LayerSettings, pass: Pass, states: Tensor, bias: Tensor) {
  const names = layerVariables(scopes, settings, 0).map(({ name }) => name);
  const sameMasks = pass.dropout.copy();
  return recomputed(states, names.map(pass.weights), [bias], (input, values, [padding], isRepeated) => {
    const weights = new Map(names.map((name, i) => [name, values[i]!]));
    const own = {
      ...pass,
      weights: (name: string) => weights.get(name)!,
      dropout: isRepeated ? sameMasks : pass.dropout,
    };
    return fullLayer(scopes, settings, own, input, padding!);
  });
}

/** 0 for a real token, -1e9 for padding: a weight of exactly 0 after the softmax. int32 [B, S] -> [B, 1, 1, S] */
function paddingBias(attentionMask: Tensor): Tensor {
  const [batch, length] = attentionMask.shape as [number, number];
  return tf.reshape(tf.mul(tf.sub(1, tf.cast(attentionMask, 'float32')), -1e9), [batch, 1, 1, length]);
}

/**
 * One layer's output for `queries`, some or all of the tokens: [B * Q, H], Q of each sequence. They attend to all
 * `states` [N, H].
 */
function layer(
  scopes: LayerScopes,
  settings: LayerSettings,
  pass: Pass,
  queries: Tensor,
  states: Tensor,
  bias: Tensor,
): Tensor {
  const { dropout } = pass;
  const context = selfAttention(scopes, settings, pass, queries, states, bias);
  const attended = dropout(linear(pass, scopes.attentionOutput, context), settings.attentionOutputRate);
  const attentionOutput = addAndNormalise(pass, scopes.attentionNorm, attended, queries, settings.epsilon);
  const intermediate = activations[settings.activation](linear(pass, scopes.intermediate, attentionOutput)); // [B * Q, I]
  const output = dropout(linear(pass, scopes.output, intermediate), settings.outputRate);
  return addAndNormalise(pass, scopes.outputNorm, output, attentionOutput, settings.epsilon);
}

/** [B * Q, H] and [N, H] -> [B * Q, H] */
function selfAttention(
  scopes: LayerScopes,
  { heads, attentionRate }: LayerSettings,
  pass: Pass,
  queries: Tensor,
  states: Tensor,
  bias: Tensor,
): Tensor {
  const { query: ofQuery, key: ofKey, value: ofValue } = scopes;
  if (queries === states && joinsAttention(pass)) {
    const three = (name: string): Three => [
      pass.weights(`${ofQuery}/${name}`),
      pass.weights(`${ofKey}/${name}`),
      pass.weights(`${ofValue}/${name}`),
    ];
    return joinedAttention(states, three('kernel'), three('bias'), bias, heads, pass.dropout, attentionRate);
  }
  const query = linear(pass, scopes.query, queries);
  const key = linear(pass, scopes.key, states);
  const value = linear(pass, scopes.value, states);
  return attention(query, key, value, bias, heads, pass.dropout, attentionRate);
}

/** The tables of what a token's place adds to its word; without `types` the model has no segments. */
export interface PlaceNames {
  readonly positions: string;
  readonly types?: string;
}

/** The names of an embedding's variables. */
export interface EmbeddingNames extends PlaceNames {
  readonly words: string;
}

/** Rows of tables for words, segments and positions, summed: [N, width]. Positions count from 0. */
export const embedTokens = (pass: Pass, names: EmbeddingNames, inputs: EncoderInputs): Tensor =>
  addPlaces(pass, embedding(pass.weights(names.words), inputs.inputIds), names, inputs);

/** Embedded words [N, width] and the rows of their segments and positions. */
export function addPlaces({ weights }: Pass, words: Tensor, names: PlaceNames, inputs: EncoderInputs): Tensor {
  const [batch, length] = inputs.inputIds.shape as [number, number];
  const width = words.shape[1]!;
  const sum = names.types === undefined ? words : tf.add(words, embedding(weights(names.types), inputs.tokenTypeIds));
  const positions = firstRows(weights(names.positions), length); // [S, width]
  return tf.reshape(tf.add(tf.reshape(sum, [batch, length, width]), positions), [batch * length, width]);
}

/** x [N, in] through the dense layer of a scope -> [N, out]. */
export const linear = ({ weights }: Pass, scope: string, x: Tensor): Tensor =>
  dense(x, weights(`${scope}/kernel`), weights(`${scope}/bias`));

/** LayerNorm of x + residual [N, H] with the variables of a scope. */
const addAndNormalise = ({ weights }: Pass, scope: string, x: Tensor, residual: Tensor, epsilon: number): Tensor =>
  addLayerNorm(x, residual, weights(`${scope}/gamma`), weights(`${scope}/beta`), epsilon);

/** LayerNorm with the variables of a scope, [N, H]. */
export const normalise = ({ weights }: Pass, scope: string, x: Tensor, epsilon: number): Tensor =>
  layerNorm(x, weights(`${scope}/gamma`), weights(`${scope}/beta`), epsilon);
