import type { Tensor } from '../graph/index.js';
import type { Pass } from './layers.js';
import type { EncoderInputs } from './transformer.js';
import type { VariableSpec } from './variables.js';

/** What a family makes of a configuration: the encoder, and a head for each kind of task. B batch, S sequence, N = B * S. */
export interface Model {
  /** The encoder's variables, without the pooler's. */
  readonly variables: readonly VariableSpec[];
  /** Empty where the family has no pooler. */
  readonly poolerVariables: readonly VariableSpec[];
  /** The last layer's hidden states, [N, H]. */
  hiddenStates(pass: Pass, inputs: EncoderInputs): Tensor;
  /** What the family takes for a sequence as a whole: the pooler's output, or the first token's state. [B, H] */
  pooled(pass: Pass, inputs: EncoderInputs): Tensor;
  /** One label a sequence. */
  classifier(labels: number): Head;
  /** One label a token. */
  tokenClassifier(labels: number): Head;
  /** The vocabulary's logits at each token. */
  readonly languageModel: Head;
}

/** A head, with the way through the encoder that it needs. */
export interface Head {
  /** The head's own variables. */
  readonly variables: readonly VariableSpec[];
  /** Whether it stands on the pooler. */
  readonly pools: boolean;
  /** [B, labels] of sequences, [N, labels] of tokens */
  logits(pass: Pass, inputs: EncoderInputs): Tensor;
}
