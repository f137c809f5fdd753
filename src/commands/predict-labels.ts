import { encodeExamples } from '../data/encode.js';
import type { UnlabelledLayout } from '../data/unlabelled.js';
import { UserError } from '../errors.js';
import { predictDataset } from '../training/evaluate.js';
import { loadFinishedModel, type FinishedModel } from '../training/finished-model.js';
import { labelAnswer } from '../training/label-evaluation.js';
import { labelSetAnswer, predictLabelSets } from '../training/label-set-evaluation.js';
import { columnsOf, inputFormatOf } from './input-columns.js';
import type { PredictOptions } from './options.js';
import type { LoadedPredictor, Predictor } from './predictor.js';

/** Gives labels to texts or pairs of texts. */
export function labelPredictor(model: FinishedModel, options: PredictOptions): Predictor {
  return {
    layout: layoutOf(model, options),
    precision: model.precision,
    summary: { labels: model.labels },
    problemOf: () => undefined,
    load: (precision) => load(model, precision),
    close: () => {
      model.checkpoint.close();
    },
  };
}

/** A model of t4's knows whether it takes pairs; one of others takes what the input has. */
function layoutOf({ card }: FinishedModel, options: PredictOptions): UnlabelledLayout {
  const path = options.text === undefined && options.input !== '-' ? options.input : undefined;
  const format = inputFormatOf(options, card, path);
  if (card !== undefined && card.task !== 'pair-classification' && options.pairColumn !== undefined) {
    throw new UserError('usage', '--pair-column: the model was trained on single texts');
  }
  if (format === 'lines')
    return { format, pairs: card === undefined ? undefined : card.task === 'pair-classification' };
  return { format, columns: columnsOf(options, card, format) };
}

function load(finished: FinishedModel, precision: 'fp32' | 'bf16'): LoadedPredictor {
  const { tokenizer, labels, threshold, maxLength } = finished;
  const model = loadFinishedModel(finished, precision);
  const settings = { numLabels: labels.length, padTokenId: tokenizer.padTokenId };
  let truncated = 0;
  return {
    async answer(examples, onBatch) {
      const dataset = encodeExamples(examples, tokenizer, maxLength);
      truncated += dataset.truncatedCount;
      const predict = model.predict.bind(model);
      if (threshold !== undefined) {
        const predictions = await predictLabelSets(predict, dataset, settings, onBatch);
        return predictions && examples.map((_, i) => labelSetAnswer(predictions, i, labels, threshold));
      }
      const predictions = await predictDataset(predict, dataset, settings, onBatch);
      return predictions && examples.map((_, i) => labelAnswer(predictions, i, labels));
    },
    get truncated() {
      return truncated;
    },
    dispose: () => {
      model.dispose();
    },
  };
}
