import { encodeWords } from '../data/encode-words.js';
import { joinEntities, labelledWords } from '../data/join-entities.js';
import { wordSplitter } from '../data/word-splitter.js';
import { predictWords } from '../training/entity-evaluation.js';
import { loadFinishedModel, type FinishedModel } from '../training/finished-model.js';
import { UserError } from '../errors.js';
import { columnsOf, inputFormatOf } from './input-columns.js';
import type { PredictOptions } from './options.js';
import type { LoadedPredictor, Predictor } from './predictor.js';

/** Finds entities with a model that gives a label to each token. */
export function entityPredictor(model: FinishedModel, options: PredictOptions): Predictor {
  if (options.pairColumn !== undefined) {
    throw new UserError('usage', '--pair-column: entities are found in single texts');
  }
  const path = options.text === undefined && options.input !== '-' ? options.input : undefined;
  const format = inputFormatOf(options, model.card, path);
  return {
    layout: format === 'lines' ? { format, pairs: false } : { format, columns: columnsOf(options, model.card, format) },
    precision: model.precision,
    summary: { labels: model.labels },
    problemOf: () => undefined,
    load: (precision) => load(model, precision),
    close: () => {
      model.checkpoint.close();
    },
  };
}

function load(finished: FinishedModel, precision: 'fp32' | 'bf16'): LoadedPredictor {
  const { tokenizer, labels, maxLength, card } = finished;
  const model = loadFinishedModel(finished, precision);
  const settings = { numLabels: labels.length, padTokenId: tokenizer.padTokenId };
  const wordsOf = wordSplitter(card?.words, tokenizer);
  return {
    async answer(examples, onBatch) {
      const texts = examples.map(({ text }) => wordsOf(text));
      const ids = texts.map((words) => ({ ids: words.map((word) => word.ids) }));
      const dataset = encodeWords(ids, tokenizer, maxLength, () => false);
      const sizes = texts.map(({ length }) => length);
      const predictions = await predictWords(model.predict.bind(model), dataset, sizes, settings, onBatch);
      if (predictions === undefined) return undefined;
      return examples.map(({ text }, i) => ({
        entities: joinEntities(text, labelledWords(texts[i]!, predictions.classes[i]!, labels)),
      }));
    },
    // Texts are read in as many windows as they need.
    truncated: 0,
    dispose: () => {
      model.dispose();
    },
  };
}
