import type { Tensor } from '../graph/index.js';
import type { Pass } from './layers.js';
import type { EncoderInputs } from './transformer.js';
import type { VariableSpec } from './variables.js';

/** Something computed of a batch in one forward pass. */
export type Forward = (pass: Pass, inputs: EncoderInputs) => Tensor;

/** What a family makes of a configuration: the encoder, and a head for each kind of task. B batch, S sequence, N = B * S. */
export interface Model {
  /** The encoder's variables, without the pooler's. */
  readonly variables: readonly VariableSpec[];
  /** Empty where the family has no pooler. */
  readonly poolerVariables: readonly VariableSpec[];
  /** The last layer's hidden states, [N, H]. */
  readonly hiddenStates: Forward;
  /** What the family takes for a sequence as a whole: the pooler's output, or the first token's state. [B, H] */
  readonly pooled: Forward;
  /** One label a sequence. */
  readonly classifier: (labels: number) => Head;
  /** One label a token. */
  readonly tokenClassifier: (labels: number) => Head;
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
  readonly logits: Forward;
}
