import { tf, type Tensor } from '../graph/index.js';
import { activations } from './activations.js';
import type { BertConfig } from './bert-config.js';
import { attention, dense, embedding, firstRows, layerNorm, type Dropout, type Weights } from './layers.js';
import { denseVariables, layerNormVariables, type VariableSpec } from './variables.js';

/**
 * BERT (Devlin et al., arXiv:1810.04805) as plain functions of configuration, weights and inputs. Follows
 * transformers' `BertModel`. Letters: B batch, S sequence, N = B * S, H hidden, A heads, D = H / A.
 */

export interface EncoderInputs {
  /** int32 [B, S] */
  readonly inputIds: Tensor;
  /** int32 [B, S]: 0 for the first segment, 1 for the second */
  readonly tokenTypeIds: Tensor;
  /** int32 [B, S]: 1 for a real token, 0 for padding */
  readonly attentionMask: Tensor;
}

/** Every variable of the encoder and the pooler, in the order of the forward pass. */
export function bertVariables(config: BertConfig): VariableSpec[] {
  const { hidden_size: hidden, intermediate_size: intermediate, initializer_range: deviation } = config;
  const table = (name: string, rows: number): VariableSpec => ({
    name: `bert/embeddings/${name}`,
    shape: [rows, hidden],
    initializer: { kind: 'truncatedNormal', standardDeviation: deviation },
  });
  const layer = (index: number): VariableSpec[] => {
    const scope = `bert/encoder/layer_${index}`;
    return [
      ...denseVariables(`${scope}/attention/self/query`, hidden, hidden, deviation),
      ...denseVariables(`${scope}/attention/self/key`, hidden, hidden, deviation),
      ...denseVariables(`${scope}/attention/self/value`, hidden, hidden, deviation),
      ...denseVariables(`${scope}/attention/output/dense`, hidden, hidden, deviation),
      ...layerNormVariables(`${scope}/attention/output/LayerNorm`, hidden),
      ...denseVariables(`${scope}/intermediate/dense`, hidden, intermediate, deviation),
      ...denseVariables(`${scope}/output/dense`, intermediate, hidden, deviation),
      ...layerNormVariables(`${scope}/output/LayerNorm`, hidden),
    ];
  };
  return [
    table('word_embeddings', config.vocab_size),
    table('position_embeddings', config.max_position_embeddings),
    table('token_type_embeddings', config.type_vocab_size),
    ...layerNormVariables('bert/embeddings/LayerNorm', hidden),
    ...Array.from({ length: config.num_hidden_layers }, (_, index) => layer(index)).flat(),
    ...denseVariables('bert/pooler/dense', hidden, hidden, deviation),
  ];
}

/**
 * The last layer's hidden state of each sequence's first token, [B, H]: all that a sentence classifier looks at. The
 * last layer is computed for that token alone, which attends to all others; its other outputs would not be used.
 */
export function bertFirstToken(config: BertConfig, weights: Weights, inputs: EncoderInputs, dropout: Dropout): Tensor {
  let hiddenStates = bertEmbeddings(config, weights, inputs, dropout); // [N, H]
  const [batch, length] = inputs.inputIds.shape as [number, number];
  // 0 for a real token, -1e9 for padding: exactly 0 after the softmax. [B, 1, 1, S]
  const bias = tf.reshape(tf.mul(tf.sub(1, tf.cast(inputs.attentionMask, 'float32')), -1e9), [batch, 1, 1, length]);
  const last = config.num_hidden_layers - 1;
  for (let index = 0; index < last; index++) {
    const scope = `bert/encoder/layer_${index}`;
    hiddenStates = bertLayer(config, weights, scope, hiddenStates, hiddenStates, bias, dropout);
  }
  const sequences = tf.reshape(hiddenStates, [batch, length, config.hidden_size]);
  const first = tf.reshape(tf.slice(sequences, [0, 0, 0], [batch, 1, config.hidden_size]), [batch, config.hidden_size]);
  return bertLayer(config, weights, `bert/encoder/layer_${last}`, first, hiddenStates, bias, dropout);
}

function bertEmbeddings(config: BertConfig, weights: Weights, inputs: EncoderInputs, dropout: Dropout): Tensor {
  const { hidden_size: hidden } = config;
  const [batch, length] = inputs.inputIds.shape as [number, number];
  const words = embedding(weights('bert/embeddings/word_embeddings'), inputs.inputIds); // [N, H]
  const types = embedding(weights('bert/embeddings/token_type_embeddings'), inputs.tokenTypeIds); // [N, H]
  const positions = firstRows(weights('bert/embeddings/position_embeddings'), length); // [S, H]
  const sum = tf.add(tf.reshape(tf.add(words, types), [batch, length, hidden]), positions); // [B, S, H]
  const flat = tf.reshape(sum, [batch * length, hidden]); // [N, H]
  return dropout(normalise(config, weights, 'bert/embeddings/LayerNorm', flat), config.hidden_dropout_prob);
}

/**
 * One layer's output for `queries`, some or all of the tokens: [B * Q, H], Q of each sequence. They attend to all
 * `hiddenStates` [N, H].
 */
function bertLayer(
  config: BertConfig,
  weights: Weights,
  scope: string,
  queries: Tensor,
  hiddenStates: Tensor,
  bias: Tensor,
  dropout: Dropout,
): Tensor {
  const rate = config.hidden_dropout_prob;
  const context = selfAttention(config, weights, `${scope}/attention/self`, queries, hiddenStates, bias, dropout);
  const attended = dropout(linear(weights, `${scope}/attention/output/dense`, context), rate);
  const attentionOutput = normalise(config, weights, `${scope}/attention/output/LayerNorm`, tf.add(attended, queries));
  const activation = activations[config.hidden_act];
  const intermediate = activation(linear(weights, `${scope}/intermediate/dense`, attentionOutput)); // [B * Q, I]
  const output = dropout(linear(weights, `${scope}/output/dense`, intermediate), rate);
  return normalise(config, weights, `${scope}/output/LayerNorm`, tf.add(output, attentionOutput));
}

/** [B * Q, H] and [N, H] -> [B * Q, H] */
function selfAttention(
  config: BertConfig,
  weights: Weights,
  scope: string,
  queries: Tensor,
  hiddenStates: Tensor,
  bias: Tensor,
  dropout: Dropout,
): Tensor {
  const { hidden_size: hidden, num_attention_heads: heads } = config;
  const batch = bias.shape[0];
  const split = (x: Tensor): Tensor =>
    tf.transpose(tf.reshape(x, [batch, x.shape[0] / batch, heads, hidden / heads]), [0, 2, 1, 3]); // [B, A, Q or S, D]
  const query = split(linear(weights, `${scope}/query`, queries));
  const key = split(linear(weights, `${scope}/key`, hiddenStates));
  const value = split(linear(weights, `${scope}/value`, hiddenStates));
  const context = attention(query, key, value, bias, (x) => dropout(x, config.attention_probs_dropout_prob));
  return tf.reshape(tf.transpose(context, [0, 2, 1, 3]), [queries.shape[0], hidden]);
}

/** A sequence's first token through a dense layer and tanh, [B, H] -> [B, H]. */
export function bertPooler(weights: Weights, firstToken: Tensor): Tensor {
  return tf.tanh(linear(weights, 'bert/pooler/dense', firstToken));
}

const linear = (weights: Weights, name: string, x: Tensor): Tensor =>
  dense(x, weights(`${name}/kernel`), weights(`${name}/bias`));

const normalise = (config: BertConfig, weights: Weights, name: string, x: Tensor): Tensor =>
  layerNorm(x, weights(`${name}/gamma`), weights(`${name}/beta`), config.layer_norm_eps);
