import type { Labelled } from '../data/encode.js';
import type { Tensor } from '../graph/index.js';
import { albert } from './albert.js';
import { albertZh } from './albert-zh.js';
import { bert } from './bert.js';
import { distilbert } from './distilbert.js';
import { electra } from './electra.js';
import { crfVariables, crfWeights } from './crf.js';
import type { TransitionRules } from './crf-rules.js';
import { divergences, type Divergence } from './divergence.js';
import type { Weights } from './layers.js';
import { meanBinaryCrossEntropy, meanCrossEntropy, meanLabelledCrossEntropy } from './losses.js';
import type { Forward, Head, Model } from './model.js';
import type { ModelConfig } from './model-config.js';
import { roberta } from './roberta.js';
import type { VariableSpec } from './variables.js';
import { wordField } from './word-field.js';

/** A model with the head of a task, as training, evaluation and export see it. */
export interface Network {
  /** Encoder, pooler where the head stands on it, and head: in the order of the forward pass. */
  readonly variables: readonly VariableSpec[];
  /** [B, labels] of sequences, [B * S, labels] of tokens */
  readonly logits: Forward;
  /**
   * What a label belongs to: int32 [B] of sequences, [B, S] of tokens with -1 where there is none, [B, labels] of 0 and 1
   * where a sequence may have any number.
   */
  readonly labelled: Labelled;
  /** The mean loss of a batch, a scalar. */
  readonly loss: (logits: Tensor, labels: Tensor, weights: Weights) => Tensor;
  /** How far the logits of two passes say different things; undefined where the labels of words depend on each other. */
  readonly divergence: Divergence | undefined;
  /** Where the labels of words depend on each other: what is read from the logits. */
  readonly field?: LabelField;
}

/** A head that labels the words of a sentence together. S: tokens of a sequence. */
export interface LabelField {
  /**
   * The likeliest labels, int32 [B, S], and each sentence's loss, [B].
   * @param wordMask int32 [B, S]: 1 for the tokens that words are labelled at
   * @param labels int32 [B, S]: -1 where none is known
   */
  readonly decode: (
    logits: Tensor,
    wordMask: Tensor,
    labels: Tensor,
    weights: Weights,
  ) => { readonly tags: Tensor; readonly losses: Tensor };
}

/** What differs between networks that label sequences and those that label tokens. */
const objectives = {
  example: { labelled: 'example', loss: meanCrossEntropy },
  token: { labelled: 'token', loss: meanLabelledCrossEntropy },
  'label-set': { labelled: 'label-set', loss: meanBinaryCrossEntropy },
} as const satisfies Record<Labelled, Pick<Network, 'labelled' | 'loss'>>;

/** The model of a configuration, whichever family it is of. */
export function modelOf(config: ModelConfig): Model {
  switch (config.model_type) {
    case 'bert':
      return bert(config);
    case 'albert':
      return albert(config);
    case 'albert_zh':
      return albertZh(config);
    case 'distilbert':
      return distilbert(config);
    case 'roberta':
      return roberta(config);
    case 'electra':
      return electra(config);
  }
}

/** One label a sequence. */
export function sequenceClassifier(config: ModelConfig, labels: number): Network {
  const model = modelOf(config);
  return network(model, model.classifier(labels), 'example');
}

/** Any number of labels a sequence. */
export function labelSetClassifier(config: ModelConfig, labels: number): Network {
  const model = modelOf(config);
  return network(model, model.classifier(labels), 'label-set');
}

/** One label a token. */
export function tokenClassifier(config: ModelConfig, labels: number): Network {
  const model = modelOf(config);
  return network(model, model.tokenClassifier(labels), 'token');
}

/**
 * One label a word, all words of a sentence together: a linear-chain CRF on the scores of the tokens.
 *
 * @param rules which labels may follow each other; undefined: any
 */
export function fieldTokenClassifier(config: ModelConfig, labels: number, rules: TransitionRules | undefined): Network {
  const plain = tokenClassifier(config, labels);
  const field = wordField(labels, rules);
  return {
    ...plain,
    variables: [...plain.variables, ...crfVariables(labels)],
    divergence: undefined,
    loss: (logits, given, weights) => field.loss(logits, given, crfWeights(weights)),
    field: { decode: (logits, wordMask, given, weights) => field.decode(logits, wordMask, given, crfWeights(weights)) },
  };
}

/** A word of the vocabulary at each token. */
export function maskedLanguageModel(config: ModelConfig): Network {
  const model = modelOf(config);
  return network(model, model.languageModel, 'token');
}

function network(model: Model, { variables, pools, logits }: Head, labelled: Labelled): Network {
  return {
    variables: [...model.variables, ...(pools ? model.poolerVariables : []), ...variables],
    logits,
    ...objectives[labelled],
    divergence: divergences[labelled],
  };
}
