import { buildProgram, dimension, tf, type FunctionSpec, type NamedTensors } from '../graph/index.js';
import type { Program, Tensor, TensorSpec, Variable } from '../graph/index.js';
import { narrowVariables, type NarrowDType } from '../graph/narrow.js';
import { attr, nodeOf, type GraphNode } from '../graph/node.js';
import { entriesAt } from '../graph/ops.js';
import { keepReachable, useBfloat16Products } from '../graph/passes.js';
import type { SavedModelInit, SavedModelSaver } from '../graph/saved-model.js';
import { saverNodes } from '../graph/saver.js';
import { handleNode } from '../graph/recorder.js';
import type { Port, Signature } from '../graph/signature.js';
import { noDropout } from '../models/dropout.js';
import type { Pass } from '../models/layers.js';
import type { ModelConfig } from '../models/model-config.js';
import { modelOf, type LabelField, type Network } from '../models/network.js';
import type { EncoderInputs } from '../models/transformer.js';
import { classifyMethod, exampleInputs } from './classify.js';
import type { ExportPrecision } from './precision.js';
import { defaultSignature, textSignature, tokenizeSignature } from './signature-names.js';
import type { TextInputs } from './text/text-inputs.js';

/**
 * What TensorFlow Serving answers with. Letters: B batch, S tokens of a sequence, L labels. Each output begins with the
 * batch, which the row format of its REST interface asks for.
 */

/** What a model gives labels to, and what names them. */
export interface ServedLabels {
  readonly kind: 'example' | 'label-set' | 'token';
  /** Names by label id. */
  readonly names: readonly string[];
  /** Of a `label-set`: the probability from which on a label is given. */
  readonly threshold: number | undefined;
}

/** A graph to be served: nothing is in it but what its signatures and the loading of its variables need. */
export interface ServingProgram extends Pick<Program, 'nodes' | 'signatures' | 'variables'> {
  readonly saver: SavedModelSaver;
  /** Where texts are tokenized in the graph. */
  readonly init: SavedModelInit | undefined;
}

/** The same for clients whose integers have 64 bits. */
const wideSignature = 'serving_int64';

const tokens: TensorSpec = { dtype: 'int32', shape: [dimension('batch'), dimension('sequence')] };

/**
 * The graph of a finished model. Its signatures, all with int32 inputs `input_ids`, `token_type_ids` and `attention_mask`
 * [B, S], and with `word_mask` [B, S] (1: a word is labelled at this token) where the labels of words depend on each other:
 * - `serving_default`, one label an example: `labels`, `label_ids`, `scores` [B], `probabilities` [B, L]
 * - `serving_default`, any number of labels: `probabilities` [B, L]; `chosen` [B, L], 1 from the threshold on; `labels`
 *   [B, L], empty where not chosen; `thresholds` [B]
 * - `serving_default`, one label a token: `labels`, `label_ids`, `scores` [B, S], `probabilities` [B, S, L]; where there
 *   is no token (no word, where the labels depend on each other), the label is empty and its id -1. Where they do, the
 *   probabilities are the marginals, 0 for no word, and `path_scores` [B] is the probability of all labels of a sentence together
 * - `serving_int64`: the same of int64 inputs
 * - `classification`, where labels are those of an example, with the names of Google's classification interface: `classes`,
 *   the name of each column, and `scores`, its probability [B, L]
 * - `embedding`: `embedding` [B, H], the mean of the last layer's states over the tokens
 * - `text`: what `serving_default` answers, of strings `text` [B] and, of a model of pairs, `pair` [B]
 *   Where tokens are labelled, `word_mask` [B, S] too, and `starts` and `ends` [B, S] of tokens in code points of the text
 * - `tokenize`: what `serving_default` would be fed, of the same strings
 * - `classify`, where there are `text` and `classification`: the latter's outputs, of serialized tf.Examples `inputs` [B] with
 *   the features `text` and `pair`, which is what TensorFlow Serving's Classify sends
 *
 * In bf16 matrices are stored in bfloat16, and matrix products take numbers of bfloat16. In fp16 matrices are stored in
 * half precision, and the products are those of float32: processors have no faster ones of halves, and float32 cannot
 * overflow where halves do. All else is float32 in each.
 *
 * @param text undefined: no signature takes texts
 */
export function servingProgram(
  config: ModelConfig,
  network: Network,
  labels: ServedLabels,
  precision: ExportPrecision,
  text?: TextInputs,
): ServingProgram {
  const program = buildProgram({
    variables: network.variables.map(({ name, shape }) => ({ name, shape, dtype: 'float32' as const })),
    functions: { [defaultSignature]: serve(config, network, labels) },
  });
  const { nodes, variables } = stored(program, precision);
  const saving = saverNodes('weights', variables);
  const saver = saverOf(saving.signatures);
  const served = program.signatures[defaultSignature]!;
  const examples = text === undefined || served.outputs.classes === undefined ? undefined : exampleInputs(text);
  const given = [...variables.map(handleNode), ...nodes, ...saving.nodes, ...(examples?.nodes ?? text?.nodes ?? [])];
  const wide = wideInputs(given, served.inputs, text);
  const signatures = {
    ...signaturesOf(served, wide.inputs),
    ...textSignatures(served, text),
    ...(examples === undefined ? {} : { classify: classifySignature(served, examples.inputs) }),
  };
  const init = text?.init;
  const ports = Object.values(signatures).flatMap(({ inputs, outputs }) => Object.values({ ...inputs, ...outputs }));
  const roots = [...ports.map(({ tensor }) => tensor), saver.filenameTensor, saver.saveTensor, saver.restoreOp];
  if (init !== undefined) roots.push(init.op);
  return { nodes: keepReachable(wide.nodes, roots), signatures, variables, saver, init };
}

/** The outputs that TensorFlow Serving's Classify has, and no other. */
const classifyOutputs = ({ classes, probabilities }: Signature['outputs']): Signature['outputs'] => ({
  classes: classes!,
  scores: probabilities!,
});

const classifySignature = ({ outputs }: Signature, inputs: Signature['inputs']): Signature => ({
  inputs,
  outputs: classifyOutputs(outputs),
  method: classifyMethod,
});

function textSignatures({ outputs }: Signature, text: TextInputs | undefined): Record<string, Signature> {
  if (text === undefined) return {};
  const answers = Object.entries(outputs).filter(([name]) => name !== 'classes' && name !== 'embedding');
  return {
    [textSignature]: { inputs: text.inputs, outputs: { ...Object.fromEntries(answers), ...text.places } },
    [tokenizeSignature]: { inputs: text.inputs, outputs: { ...text.outputs, ...text.places } },
  };
}

function stored(
  { nodes, variables }: Program,
  precision: ExportPrecision,
): { nodes: readonly GraphNode[]; variables: readonly Variable[] } {
  if (precision === 'fp32') return { nodes, variables };
  const narrow = narrowVariables(nodes, variables, narrowTypes[precision]);
  return precision === 'bf16' ? { ...narrow, nodes: useBfloat16Products(narrow.nodes) } : narrow;
}

const narrowTypes: Readonly<Record<Exclude<ExportPrecision, 'fp32'>, NarrowDType>> = {
  bf16: 'bfloat16',
  fp16: 'float16',
};

function saverOf(signatures: Program['signatures']): SavedModelSaver {
  const [save, restore] = [signatures['save/weights']!, signatures['restore/weights']!];
  return {
    filenameTensor: restore.inputs.path!.tensor,
    saveTensor: save.outputs.path!.tensor,
    restoreOp: nodeOf(restore.outputs.path!.tensor),
  };
}

/** One traced function, with several selections of its inputs and outputs. */
function signaturesOf({ inputs, outputs }: Signature, wide: Signature['inputs']): Record<string, Signature> {
  const { classes, embedding, ...main } = outputs;
  const { input_ids, token_type_ids, attention_mask } = inputs;
  const signatures: Record<string, Signature> = {
    [defaultSignature]: { inputs, outputs: main },
    [wideSignature]: { inputs: wide, outputs: main },
    embedding: {
      inputs: { input_ids: input_ids!, token_type_ids: token_type_ids!, attention_mask: attention_mask! },
      outputs: { embedding: embedding! },
    },
  };
  if (classes !== undefined) {
    signatures.classification = { inputs, outputs: classifyOutputs(outputs) };
  }
  return signatures;
}

/**
 * Gives each int32 input a default: an int64 input of its own, cast; and that one, where texts are tokenized, the tokens of
 * texts. What is fed decides which of them is used, so that all signatures share one graph.
 */
function wideInputs(
  nodes: readonly GraphNode[],
  inputs: Signature['inputs'],
  text: TextInputs | undefined,
): { nodes: readonly GraphNode[]; inputs: Record<string, Port> } {
  const wide: Record<string, Port> = {};
  const result = new Map(nodes.map((node) => [node.name, node]));
  for (const [input, port] of Object.entries(inputs)) {
    const name = nodeOf(port.tensor);
    const narrow = result.get(name)!;
    const [source, cast] = [`${wideSignature}/input_${input}`, `${wideSignature}/cast_${input}`];
    const castAttrs = { SrcT: attr.type('int64'), DstT: attr.type('int32'), Truncate: attr.bool(false) };
    const given: GraphNode = { ...narrow, name: source, attrs: { ...narrow.attrs, dtype: attr.type('int64') } };
    const tokens = text?.outputs[input];
    if (tokens === undefined) {
      result.set(source, given);
    } else {
      const widened = `${wideSignature}/tokens_${input}`;
      const attrs = { ...castAttrs, SrcT: attr.type('int32'), DstT: attr.type('int64') };
      result.set(widened, { name: widened, op: 'Cast', inputs: [tokens.tensor], attrs });
      result.set(source, { ...given, op: 'PlaceholderWithDefault', inputs: [widened] });
    }
    result.set(cast, { name: cast, op: 'Cast', inputs: [source], attrs: castAttrs });
    result.set(name, { ...narrow, op: 'PlaceholderWithDefault', inputs: [cast] });
    wide[input] = { ...port, tensor: `${source}:0`, dtype: 'int64' };
  }
  return { nodes: [...result.values()], inputs: wide };
}

function serve(config: ModelConfig, network: Network, labels: ServedLabels): FunctionSpec {
  const { field } = network;
  const inputs = { input_ids: tokens, token_type_ids: tokens, attention_mask: tokens };
  return {
    inputs: field === undefined ? inputs : { ...inputs, word_mask: tokens },
    build(given, variables) {
      const pass: Pass = { weights: variables.read.bind(variables), dropout: noDropout };
      const encoderInputs = encoderInputsOf(given);
      const logits = network.logits(pass, encoderInputs);
      // The nodes are those of the logits, which equal ones are shared with.
      const states = modelOf(config).hiddenStates(pass, encoderInputs);
      return {
        ...labelOutputs(network, labels, logits, given, pass),
        embedding: meanOfTokens(states, encoderInputs.attentionMask),
      };
    },
  };
}

function labelOutputs(
  network: Network,
  labels: ServedLabels,
  logits: Tensor,
  given: NamedTensors,
  pass: Pass,
): NamedTensors {
  switch (labels.kind) {
    case 'example':
      return exampleOutputs(logits, labels.names);
    case 'label-set':
      return labelSetOutputs(logits, labels);
    case 'token':
      return network.field === undefined
        ? tokenOutputs(logits, given.attention_mask!, labels.names)
        : fieldOutputs(logits, given.word_mask!, labels.names, network, network.field, pass);
  }
}

/** @param states [B * S, H]; the mean over the tokens of each sequence, [B, H] */
function meanOfTokens(states: Tensor, mask: Tensor): Tensor {
  const weights = tf.expandDims(tf.cast(mask, 'float32'), -1); // [B, S, 1]
  const sums = tf.sum(tf.mul(tf.reshape(states, [...mask.shape, states.shape[1]!]), weights), 1);
  return tf.div(sums, tf.maximum(tf.sum(weights, 1), 1));
}

const encoderInputsOf = (given: NamedTensors): EncoderInputs => ({
  inputIds: given.input_ids!,
  tokenTypeIds: given.token_type_ids!,
  attentionMask: given.attention_mask!,
});

const integer = (value: number): Tensor => tf.scalar(value, 'int32');

/** The names at int32 numbers of any shape. */
const namesAt = (names: readonly string[], numbers: Tensor): Tensor =>
  entriesAt(tf.tensor1d([...names], 'string'), numbers);

/** 0, 1, ..., L - 1, int32 [1, L]. */
const columns = (count: number): Tensor => tf.reshape(tf.range(0, count, 1, 'int32'), [1, count]);

/** @param logits [B, L] */
function exampleOutputs(logits: Tensor, names: readonly string[]): NamedTensors {
  const probabilities = tf.softmax(logits);
  const ids = tf.argMax(logits, -1);
  const none = tf.mul(tf.expandDims(ids, -1), integer(0)); // [B, 1]
  return {
    labels: namesAt(names, ids),
    label_ids: ids,
    scores: tf.max(probabilities, -1),
    probabilities,
    classes: namesAt(names, tf.add(none, columns(names.length))),
  };
}

/** @param logits [B, L] */
function labelSetOutputs(logits: Tensor, { names, threshold }: ServedLabels): NamedTensors {
  if (threshold === undefined) throw new TypeError('a model for sets of labels has a threshold');
  const probabilities = tf.sigmoid(logits);
  const chosen = tf.cast(tf.greaterEqual(probabilities, tf.scalar(threshold)), 'int32');
  const numbers = tf.add(columns(names.length), integer(1)); // 0 is for none
  const none = tf.mul(chosen, integer(0));
  return {
    labels: namesAt(['', ...names], tf.mul(chosen, numbers)),
    chosen,
    probabilities,
    thresholds: tf.fill([logits.shape[0]], threshold),
    classes: namesAt(names, tf.add(none, columns(names.length))),
  };
}

/** Ids where the mask is 1, else -1, and the names of both. */
function maskedLabels(ids: Tensor, mask: Tensor, names: readonly string[]): { labels: Tensor; label_ids: Tensor } {
  const numbers = tf.mul(tf.add(ids, integer(1)), mask);
  return { labels: namesAt(['', ...names], numbers), label_ids: tf.sub(numbers, integer(1)) };
}

/** @param logits [B * S, L] */
function tokenOutputs(logits: Tensor, mask: Tensor, names: readonly string[]): NamedTensors {
  const shape = mask.shape as [number, number];
  const probabilities = tf.reshape(tf.softmax(logits), [...shape, names.length]);
  const ids = tf.reshape(tf.argMax(logits, -1), shape);
  return { ...maskedLabels(ids, mask, names), scores: tf.max(probabilities, -1), probabilities };
}

/** @param logits [B * S, L] */
function fieldOutputs(
  logits: Tensor,
  mask: Tensor,
  names: readonly string[],
  { loss }: Network,
  field: LabelField,
  { weights }: Pass,
): NamedTensors {
  const shape = mask.shape as [number, number];
  const unknown = tf.sub(mask, integer(1)); // 0 for a word, else -1
  const { tags } = field.decode(logits, mask, unknown, weights);
  const path = tf.add(tf.mul(tags, mask), unknown);
  const { losses } = field.decode(logits, mask, path, weights);
  // The gradient of a path's loss is by how much the marginals differ from the path; a batch's is divided by its sentences.
  const gradient = tf.grad((given: Tensor) => loss(given, path, weights))(logits);
  const words = tf.cast(mask, 'float32');
  const sentences = tf.maximum(tf.sum(tf.max(words, 1)), 1);
  const chosen = tf.mul(tf.oneHot(tags, names.length), tf.expandDims(words, -1));
  const probabilities = tf.add(tf.reshape(tf.mul(gradient, sentences), [...shape, names.length]), chosen);
  return {
    ...maskedLabels(tags, mask, names),
    scores: tf.sum(tf.mul(probabilities, chosen), -1),
    probabilities,
    path_scores: tf.exp(tf.neg(losses)),
  };
}
