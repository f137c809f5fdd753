import { albert } from './albert.js';
import { albertZh } from './albert-zh.js';
import { bert } from './bert.js';
import { distilbert } from './distilbert.js';
import { electra } from './electra.js';
import type { Forward, Head, Model } from './model.js';
import type { ModelConfig } from './model-config.js';
import { roberta } from './roberta.js';
import type { VariableSpec } from './variables.js';

/** A model with the head of a task, as training, evaluation and export see it. */
export interface Network {
  /** Encoder, pooler where the head stands on it, and head: in the order of the forward pass. */
  readonly variables: readonly VariableSpec[];
  /** [B, labels] of sequences, [B * S, labels] of tokens */
  readonly logits: Forward;
}

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
  return network(model, model.classifier(labels));
}

/** One label a token. */
export function tokenClassifier(config: ModelConfig, labels: number): Network {
  const model = modelOf(config);
  return network(model, model.tokenClassifier(labels));
}

/** A word of the vocabulary at each token. */
export function maskedLanguageModel(config: ModelConfig): Network {
  const model = modelOf(config);
  return network(model, model.languageModel);
}

function network(model: Model, { variables, pools, logits }: Head): Network {
  return { variables: [...model.variables, ...(pools ? model.poolerVariables : []), ...variables], logits };
}
