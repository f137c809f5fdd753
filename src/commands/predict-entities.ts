import { encodeWords } from '../data/encode-words.js';
import { textWords } from '../data/text-words.js';
import type { Place } from '../tokenization/align.js';
import type { Tokenizer, Word } from '../tokenization/tokenizer.js';
import { predictWords } from '../training/entity-evaluation.js';
import { loadFinishedModel, type FinishedModel } from '../training/finished-model.js';
import type { WordKind } from '../training/task-methods.js';
import { UserError } from '../errors.js';
import { batchTokens } from './predict-batches.js';
import { columnsOf, inputFormatOf } from './input-columns.js';
import type { PredictOptions } from './options.js';
import { joinEntities, type LabelledWord } from './entities.js';
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
  const settings = { numLabels: labels.length, padTokenId: tokenizer.padTokenId, batchTokens: batchTokens() };
  const wordsOf = splitterOf(card?.words, tokenizer);
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

/** Splits a text as the model has learned it. */
function splitterOf(kind: WordKind | undefined, tokenizer: Tokenizer): (text: string) => Word[] {
  if (kind === undefined || kind === 'words') return tokenizer.words;
  const placesOf = kind === 'characters' ? charactersOf : textWords;
  return (text) => {
    const places = placesOf(text);
    const ids = tokenizer.wordIds(places.map(({ start, end }) => text.slice(start, end)));
    return places.map((place, i) => ({ ids: ids[i]!, place }));
  };
}

/** Each character but white space. */
function charactersOf(text: string): Place[] {
  const places: Place[] = [];
  let start = 0;
  for (const character of text) {
    const end = start + character.length;
    if (character.trim() !== '') places.push({ start, end });
    start = end;
  }
  return places;
}

function labelledWords(words: readonly Word[], classes: Int32Array, labels: readonly string[]): LabelledWord[] {
  return words.flatMap(({ place }, i) => {
    const label = labels[classes[i]!];
    return place === undefined || label === undefined ? [] : [{ place, label }];
  });
}
