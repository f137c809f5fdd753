import type { Example } from '../data/example.js';
import type { UnlabelledLayout } from '../data/unlabelled.js';
import type { Precision } from '../graph/index.js';
import type { OnBatch } from '../training/evaluate.js';
import type { Answer, Summary } from './answers.js';

/** A model and what it is asked, with its weights still on disk. */
export interface Predictor {
  readonly layout: UnlabelledLayout;
  readonly precision: 'auto' | Precision;
  /** What the summary says of the model. */
  readonly summary: Summary;
  /** What is wrong with a text, as far as the model is concerned: `got ..., expected ...`. */
  problemOf(example: Example): string | undefined;
  load(precision: Precision): LoadedPredictor;
  /** Closes the files of the model; what is loaded stays. */
  close(): void;
}

/** A model in memory. */
export interface LoadedPredictor {
  /**
   * An answer for each example, in their order; undefined where `onBatch` ended it.
   * @param examples some hundreds: they are computed in batches of like length
   */
  answer(examples: readonly Example[], onBatch: OnBatch): Promise<Answer[] | undefined>;
  /** How many texts were longer than the model takes, so far. */
  readonly truncated: number;
  dispose(): void;
}
