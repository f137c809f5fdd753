import type { Tensor } from '../graph/index.js';
import { bertFirstToken, bertPooler, bertVariables, type EncoderInputs } from './bert.js';
import type { BertConfig } from './bert-config.js';
import { dense, type Dropout, type Weights } from './layers.js';
import { denseVariables, type VariableSpec } from './variables.js';

/** The variables of BERT with a classification head (transformers' `BertForSequenceClassification`). */
export function classifierVariables(config: BertConfig, numLabels: number): VariableSpec[] {
  return [
    ...bertVariables(config),
    ...denseVariables('classifier', config.hidden_size, numLabels, config.initializer_range),
  ];
}

/** Logits of each sequence, [B, labels]: the pooled output, dropout, a dense layer. */
export function classifierLogits(
  config: BertConfig,
  weights: Weights,
  inputs: EncoderInputs,
  dropout: Dropout,
): Tensor {
  const pooled = bertPooler(weights, bertFirstToken(config, weights, inputs, dropout));
  const kept = dropout(pooled, config.classifier_dropout ?? config.hidden_dropout_prob);
  return dense(kept, weights('classifier/kernel'), weights('classifier/bias'));
}
