import { encodeExamples, lengthOf, type EncodedDataset } from '../data/encode.js';
import { assembleBatch, planBatches } from '../data/batches.js';
import type { Tokenizer } from '../tokenization/tokenizer.js';
import { lengthMultiple } from '../training/evaluate.js';
import { loadFinishedModel, type FinishedModel } from '../training/finished-model.js';
import { UserError } from '../errors.js';
import type { Model } from '../training/trainer.js';
import type { Entity } from './answers.js';
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

const largestBatch = 32;

function load(finished: FinishedModel, precision: 'fp32' | 'bf16'): LoadedPredictor {
  const { tokenizer, labels, maxLength } = finished;
  const model = loadFinishedModel(finished, precision);
  const layout = { multipleOf: lengthMultiple, padTokenId: tokenizer.padTokenId };
  const plan = { batchSize: largestBatch, seed: 0, epoch: 0, shuffle: false, bucketByLength: true };
  let truncated = 0;
  return {
    async answer(examples, onBatch) {
      const dataset = encodeExamples(examples, tokenizer, maxLength);
      truncated += dataset.truncatedCount;
      const found: (readonly Entity[])[] = examples.map(() => []);
      let done = 0;
      for (const indices of planBatches(dataset, { ...plan, multipleOf: lengthMultiple })) {
        const batch = assembleBatch(dataset, indices, layout);
        const classes = likeliest(model, batch, labels.length);
        indices.forEach((example, row) => {
          const ids = classes.subarray(row * batch.length, row * batch.length + lengthOf(dataset, example));
          const { text } = examples[example]!;
          found[example] = joinEntities(text, labelledWords(text, tokenizer, tokensOf(dataset, example), ids, labels));
        });
        done += indices.length;
        if (!(await onBatch(done))) return undefined;
      }
      return found.map((entities) => ({ entities }));
    },
    get truncated() {
      return truncated;
    },
    dispose: () => {
      model.dispose();
    },
  };
}

const tokensOf = ({ ids, offsets }: EncodedDataset, example: number): Uint16Array | Int32Array =>
  ids.subarray(offsets[example], offsets[example + 1]);

/** The label id of each token, [size * length]; the first of equals. */
function likeliest(model: Model, batch: Parameters<Model['predict']>[0], labels: number): Int32Array {
  const logits = model.predict(batch);
  return Int32Array.from({ length: batch.size * batch.length }, (_, token) => {
    let best = 0;
    for (let id = 1; id < labels; id++) if (logits[token * labels + id]! > logits[token * labels + best]!) best = id;
    return best;
  });
}

/** Each word with the label of its first token that is more than a blank, up to where the text was cut. */
function labelledWords(
  text: string,
  tokenizer: Tokenizer,
  tokens: Uint16Array | Int32Array,
  classes: Int32Array,
  labels: readonly string[],
): LabelledWord[] {
  const words = tokenizer.words(text);
  let token = beginningOf(
    words.flatMap(({ ids }) => ids),
    tokens,
  );
  const found: LabelledWord[] = [];
  for (const { ids, place } of words) {
    // The special tokens behind the text, where it was cut, are no words' tokens.
    const first = Math.max(
      0,
      ids.findIndex((id) => tokenizer.textOf(id).trim() !== ''),
    );
    const isKept = tokens[token + first] === ids[first];
    if (isKept && place !== undefined) found.push({ place, label: labels[classes[token + first]!]! });
    token += ids.length;
  }
  return found;
}

/** How many special tokens stand before the text. */
function beginningOf(text: readonly number[], tokens: Uint16Array | Int32Array): number {
  // A text that was cut agrees up to the special tokens behind it, of which no family has more than before it.
  for (let start = 0; start < tokens.length; start++) {
    const length = Math.min(text.length, tokens.length - 2 * start);
    if (length > 0 && text.slice(0, length).every((id, i) => tokens[start + i] === id)) return start;
  }
  return tokens.length;
}
