import type { TaggedSentence } from '../data/example.js';
import { textWords } from '../data/text-words.js';
import { codePointsBefore } from '../data/code-points.js';
import type { EncodedWords } from '../data/encode-words.js';
import { lazy } from '../lazy.js';
import { microF1Interval } from '../metrics/bootstrap.js';
import { entityMetrics, sentenceCounts, type EntityMetrics } from '../metrics/entities.js';
import { entityReport } from '../metrics/report.js';
import { lenientEntities, outside, schemeOf, strictEntities, type EntitySpan } from '../metrics/tags.js';
import { formatTable } from '../ui/table.js';
import {
  crossEntropy,
  largest,
  runBatches,
  type Evaluation,
  type EvaluationSet,
  type OnBatch,
  type Predict,
  type PredictSettings,
} from './evaluate.js';

/** What a model says of the words of some texts. */
export interface WordPredictions {
  /** Label id of each word of each text: `[texts][words]`; -1 for a word without a token. */
  readonly classes: readonly Int32Array[];
  /**
   * Mean cross entropy over the labelled tokens, NaN where none is; of a field, the mean over the examples of the negative
   * log-likelihood.
   */
  readonly loss: number;
}

/**
 * The label of every word. Of a text in several windows, each word is read in the window that it is nearest the middle
 * of.
 *
 * @param sizes words of each text
 * @returns undefined where `onBatch` ended it
 */
export async function predictWords(
  predict: Predict,
  dataset: EncodedWords,
  sizes: readonly number[],
  { numLabels, padTokenId }: PredictSettings,
  onBatch?: OnBatch,
): Promise<WordPredictions | undefined> {
  const classes = sizes.map((words) => new Int32Array(words).fill(-1));
  let [lossSum, labelled] = [0, 0];
  const isWhole = await runBatches(
    predict,
    dataset,
    padTokenId,
    ({ indices, length, labels }, { logits, field }) => {
      if (field !== undefined) {
        for (const loss of field.losses.subarray(0, indices.length)) lossSum += loss;
        labelled += indices.length;
      }
      indices.forEach((index, row) => {
        const { text, first, positions, own } = dataset.windows[index]!;
        positions.forEach((position, i) => {
          if (position < 0) return;
          const token = row * length + position;
          const scores = logits.subarray(token * numLabels, (token + 1) * numLabels);
          const word = first + i;
          if (word >= own[0] && word < own[1]) classes[text]![word] = field?.tags[token] ?? largest(scores);
          const label = labels[token]!;
          if (label >= 0 && field === undefined) {
            lossSum += crossEntropy(scores, label);
            labelled++;
          }
        });
      });
    },
    onBatch,
  );
  return isWhole ? { classes, loss: labelled === 0 ? NaN : lossSum / labelled } : undefined;
}

/** Sentences with a label at each word: precision, recall and F1 of whole entities. */
export function labelledSentences(
  sentences: readonly TaggedSentence[],
  dataset: EncodedWords,
  labels: readonly string[],
  padTokenId: number,
): EvaluationSet {
  const sizes = sentences.map(({ words }) => words.length);
  const settings = { numLabels: labels.length, padTokenId };
  return {
    dataset,
    size: sentences.length,
    async evaluate(predict, onBatch) {
      const predictions = await predictWords(predict, dataset, sizes, settings, onBatch);
      return predictions === undefined ? undefined : evaluationOf(sentences, labels, predictions);
    },
  };
}

function evaluationOf(
  sentences: readonly TaggedSentence[],
  labels: readonly string[],
  { classes, loss }: WordPredictions,
): Evaluation {
  const names = (ids: ArrayLike<number>): string[] => Array.from(ids, (id) => labels[id] ?? outside);
  const gold = sentences.map((sentence) => names(sentence.labels));
  const predicted = classes.map(names);
  const [goldEntities, entities] = [gold.map(lenientEntities), predicted.map(lenientEntities)];
  const metrics = entityMetrics(goldEntities, entities);
  const interval = lazy(() => microF1Interval(sentenceCounts(goldEntities, entities)));
  const scheme = schemeOf(labels);
  const strict =
    scheme === undefined
      ? undefined
      : entityMetrics(
          gold.map((tags) => strictEntities(tags, scheme)),
          predicted.map((tags) => strictEntities(tags, scheme)),
        );
  const accuracy = accuracyOf(gold, predicted);
  const { precision, recall, f1 } = metrics.micro;
  return {
    loss,
    scores: { f1, precision, recall, accuracy, macro_f1: metrics.macro.f1 },
    baseline: {},
    headline: `F1 ${f1.toFixed(4)}, precision ${precision.toFixed(4)}, recall ${recall.toFixed(4)}`,
    against: '',
    report: () => `${entityReport(metrics, interval())}\n\n${otherScores(strict, scheme, accuracy)}`,
    details: () => ({
      loss,
      ...detailsOf(metrics),
      intervals: { f1: interval() },
      ...(strict === undefined ? {} : { strict: { scheme, ...detailsOf(strict) } }),
      accuracy,
      words: gold.reduce((sum, { length }) => sum + length, 0),
      labels,
    }),
    *predictions() {
      for (const [i, { words, line, text }] of sentences.entries()) {
        const spelled = (spans: readonly EntitySpan[]) =>
          text === undefined
            ? spans.map(({ type, start, end }) => ({ start, end, label: type, words: words.slice(start, end) }))
            : spansInText(spans, text);
        yield {
          line,
          ...(text === undefined ? {} : { text }),
          words,
          gold: gold[i]!,
          predicted: predicted[i]!,
          gold_entities: spelled(goldEntities[i]!),
          entities: spelled(entities[i]!),
        };
      }
    },
  };
}

/** Entities by their places in the text, counted in code points, as `t4 predict` writes them. */
function spansInText(spans: readonly EntitySpan[], text: string) {
  const places = textWords(text);
  const points = codePointsBefore(text);
  return spans.map(({ type, ...span }) => {
    const [start, end] = [places[span.start]!.start, places[span.end - 1]!.end];
    return { start: points(start), end: points(end), label: type, text: text.slice(start, end) };
  });
}

const detailsOf = ({ micro, macro, weighted, types, support, predicted, correct }: EntityMetrics) => ({
  ...micro,
  macro,
  weighted,
  entities: support,
  predicted,
  correct,
  types: Object.fromEntries(types.map(({ type, ...scores }) => [type, scores])),
});

function accuracyOf(gold: readonly (readonly string[])[], predicted: readonly (readonly string[])[]): number {
  let [right, words] = [0, 0];
  gold.forEach((tags, sentence) => {
    tags.forEach((tag, word) => {
      if (tag === predicted[sentence]![word]) right++;
      words++;
    });
  });
  return words === 0 ? 0 : right / words;
}

function otherScores(strict: EntityMetrics | undefined, scheme: string | undefined, accuracy: number): string {
  const rows = [['labels of words', `accuracy ${accuracy.toFixed(4)}`]];
  if (strict !== undefined) {
    const { precision, recall, f1 } = strict.micro;
    const numbers = `F1 ${f1.toFixed(4)}, precision ${precision.toFixed(4)}, recall ${recall.toFixed(4)}`;
    rows.unshift([`strict (${scheme})`, numbers]);
  }
  return formatTable(rows, ['left', 'left']);
}
