import type { ModelConfig, ModelType } from '../models/model-config.js';
import type { Checkpoint, StoredAs } from './checkpoint.js';

/**
 * Heads that no model here computes, and that a conversion carries over all the same: what the models were pretrained
 * with beside the masked words, and the answers to questions. By their names in Google's checkpoints (google-research/bert
 * `run_pretraining.py`, `run_squad.py`; albert and electra alike), of the shapes that they have there.
 */

type Format = Checkpoint['format'];

interface Carried {
  readonly name: string;
  readonly huggingFace: string;
  /** Whether the one is the other's transpose. */
  readonly transposed: boolean;
}

const same = (name: string, huggingFace: string): Carried => ({ name, huggingFace, transposed: false });

/** The start and the end of an answer, [2, H]. */
const answers = [
  same('cls/squad/output_weights', 'qa_outputs.weight'),
  same('cls/squad/output_bias', 'qa_outputs.bias'),
];

/** Whether the second sentence follows the first, [2, H]: not transposed, unlike other kernels. */
const pairs = (huggingFace: string): Carried[] => [
  same('cls/seq_relationship/output_weights', `${huggingFace}.weight`),
  same('cls/seq_relationship/output_bias', `${huggingFace}.bias`),
];

const byFamily: Readonly<Record<ModelType, readonly Carried[]>> = {
  bert: [...pairs('cls.seq_relationship'), ...answers],
  albert: [...pairs('sop_classifier.classifier'), ...answers],
  albert_zh: [...pairs('cls/seq_relationship'), ...answers],
  distilbert: answers,
  roberta: answers,
  electra: [
    // Whether a token was replaced by the generator.
    {
      name: 'discriminator_predictions/dense/kernel',
      huggingFace: 'discriminator_predictions.dense.weight',
      transposed: true,
    },
    same('discriminator_predictions/dense/bias', 'discriminator_predictions.dense.bias'),
    {
      name: 'discriminator_predictions/dense_1/kernel',
      huggingFace: 'discriminator_predictions.dense_prediction.weight',
      transposed: true,
    },
    same('discriminator_predictions/dense_1/bias', 'discriminator_predictions.dense_prediction.bias'),
    ...answers,
  ],
};

/** How a format stores what is carried over, by its name in Google's checkpoints. fairseq has none of it. */
export function carriedNames(config: ModelConfig, format: Format): Map<string, StoredAs> {
  if (format === 'fairseq') return new Map();
  return new Map(
    byFamily[config.model_type].map(({ name, huggingFace, transposed }) => [
      name,
      format === 'tensorflow' ? { names: [name], transposed: false } : { names: [huggingFace], transposed },
    ]),
  );
}
