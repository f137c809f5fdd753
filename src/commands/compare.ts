import { existsSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readLines } from '../data/lines.js';
import { quote, quoteJson, throwProblems, type Problem } from '../data/problems.js';
import { UserError } from '../errors.js';
import { compareAnswers, type AnswerKind, type Comparison } from '../metrics/comparison.js';

/** `t4 test --compare`: two models' predictions of the same examples, as t4 test writes them. */

export const predictionsName = 'predictions.jsonl';

const spanSchema = z.object({ start: z.int(), end: z.int(), label: z.string() });
const textSchema = z.object({ text: z.string(), pair: z.string().optional() });
const lineSchema = z.union([
  textSchema.extend({ gold: z.string(), label: z.string() }),
  textSchema.extend({ gold: z.array(z.string()), labels: z.array(z.string()) }),
  z.object({ words: z.array(z.string()), gold_entities: z.array(spanSchema), entities: z.array(spanSchema) }),
]);

interface Prediction {
  readonly kind: AnswerKind;
  /** The text, the two texts of a pair, or the words of a sentence. */
  readonly parts: readonly string[];
  /** Each label, or each entity with its place; sorted, each once. */
  readonly gold: readonly string[];
  readonly answer: readonly string[];
}

export interface PredictionFile {
  /** What the user called it: the run, or the file itself. */
  readonly name: string;
  readonly path: string;
  readonly predictions: readonly Prediction[];
}

/**
 * Reads the predictions to compare with; to be called before the test, which may take long and writes its own.
 *
 * @param source a run or another folder with predictions.jsonl, or such a file
 * @param output the folder that the test writes to
 * @throws UserError 'usage' where there are none, or where they would be overwritten; 'data' where they cannot be read
 */
export function readOtherPredictions(source: string, output: string): PredictionFile {
  if (!existsSync(source)) throw new UserError('usage', `--compare: ${source} does not exist`);
  const path = statSync(source).isDirectory() ? join(source, predictionsName) : source;
  if (!existsSync(path)) {
    throw new UserError(
      'usage',
      `--compare: ${source} has no ${predictionsName}`,
      `It is written by a test of the same data: t4 test --checkpoint ${source}`,
    );
  }
  const own = join(output, predictionsName);
  if (existsSync(own) && realpathSync(own) === realpathSync(path)) {
    throw new UserError('usage', `--compare: ${path} is what this test would overwrite`, 'Name another --output.');
  }
  return readPredictions(source, path);
}

/** Reads what a test has written. Throws UserError 'data' naming every line that is no prediction with its gold. */
export function readPredictions(name: string, path: string): PredictionFile {
  const problems: Problem[] = [];
  const predictions = readLines(path).flatMap((line, i) => {
    const prediction = parsePrediction(line);
    if (prediction === undefined) {
      const expected = 'an example with its gold and the predicted label, labels or entities';
      problems.push({ line: i + 1, message: `got ${quote(line)}, expected ${expected}` });
      return [];
    }
    return [prediction];
  });
  throwProblems(path, problems, 'Predictions to compare are those that t4 test writes of labelled data.');
  return { name, path, predictions };
}

function parsePrediction(line: string): Prediction | undefined {
  const parsed = lineSchema.safeParse(parseJson(line));
  if (!parsed.success) return undefined;
  const { data } = parsed;
  if ('words' in data) {
    const [gold, answer] = [data.gold_entities, data.entities].map((spans) => distinct(spans.map(placeOf)));
    return { kind: 'entities', parts: data.words, gold: gold!, answer: answer! };
  }
  const parts = data.pair === undefined ? [data.text] : [data.text, data.pair];
  if ('label' in data) return { kind: 'label', parts, gold: [data.gold], answer: [data.label] };
  return { kind: 'labels', parts, gold: distinct(data.gold), answer: distinct(data.labels) };
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

const placeOf = ({ start, end, label }: z.infer<typeof spanSchema>): string => `${start}-${end} ${label}`;

const distinct = (values: readonly string[]): string[] => [...new Set(values)].sort();

/**
 * Compares two files line by line.
 *
 * @throws UserError 'data' where they are not of the same examples with the same gold, naming the first difference
 */
export function comparePredictions(first: PredictionFile, second: PredictionFile): Comparison {
  const difference = firstDifference(first, second);
  if (difference !== undefined) {
    throw new UserError(
      'data',
      `--compare: ${difference}`,
      'Compare tests of the same data: name it with --data FILE for both models.',
    );
  }
  const [kind = 'label'] = first.predictions.map((one) => one.kind);
  return compareAnswers(
    kind,
    first.predictions.map(({ gold }) => gold),
    first.predictions.map(({ answer }) => answer),
    second.predictions.map(({ answer }) => answer),
  );
}

function firstDifference(first: PredictionFile, second: PredictionFile): string | undefined {
  const [a, b] = [first.predictions, second.predictions];
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const difference = differenceOf(a[i]!, b[i]!);
    if (difference !== undefined) return `${first.path}:${i + 1} and ${second.path}:${i + 1}: ${difference}`;
  }
  if (a.length === b.length) return undefined;
  return `${first.path} has ${a.length} examples, ${second.path} has ${b.length}`;
}

function differenceOf(a: Prediction, b: Prediction): string | undefined {
  if (a.kind !== b.kind) return `one has ${a.kind}, the other ${b.kind}`;
  return (a.kind === 'entities' ? wordsDifference(a, b) : textsDifference(a, b)) ?? goldDifference(a, b);
}

function wordsDifference({ parts: a }: Prediction, { parts: b }: Prediction): string | undefined {
  const word = a.findIndex((one, i) => b[i] !== undefined && one !== b[i]);
  if (word >= 0) return `word ${word + 1} is ${quote(a[word]!)} and ${quote(b[word]!)}`;
  return a.length === b.length ? undefined : `a sentence of ${a.length} words and one of ${b.length}`;
}

function textsDifference({ parts: [a, pairA] }: Prediction, { parts: [b, pairB] }: Prediction): string | undefined {
  if (a !== b) return `text ${differing(a!, b!)}`;
  if (pairA === pairB) return undefined;
  if (pairA === undefined || pairB === undefined) return 'one is a pair of texts, the other a single text';
  return `pair ${differing(pairA, pairB)}`;
}

function goldDifference({ kind, gold: a }: Prediction, { gold: b }: Prediction): string | undefined {
  if (kind === 'label') return a[0] === b[0] ? undefined : `gold ${quote(a[0]!)} and ${quote(b[0]!)}`;
  const [onlyA, onlyB] = [a.filter((one) => !b.includes(one)), b.filter((one) => !a.includes(one))];
  if (onlyA.length + onlyB.length === 0) return undefined;
  return `gold ${quoteJson(onlyA)} in the first alone, ${quoteJson(onlyB)} in the second alone`;
}

/** Two long texts from a little before the place where they part. */
function differing(a: string, b: string): string {
  const [left, right] = [Array.from(a), Array.from(b)];
  let parting = 0;
  while (left[parting] !== undefined && left[parting] === right[parting]) parting++;
  const shown = (characters: readonly string[]): string =>
    parting <= 20 ? quote(characters.join('')) : quote(`...${characters.slice(parting - 10).join('')}`);
  return `${shown(left)} and ${shown(right)}`;
}

/** A comparison as it stands in test.json: `this` is the model that was tested. */
export function comparisonJson(comparison: Comparison, other: string): Readonly<Record<string, unknown>> {
  const { examples, first, second, onlyFirst, onlySecond, test, microF1 } = comparison;
  return {
    with: other,
    examples,
    right: { this: first, other: second },
    right_alone: { this: onlyFirst, other: onlySecond },
    mcnemar: test,
    ...(microF1 === undefined
      ? {}
      : { micro_f1: { this: microF1.first, other: microF1.second, gain_interval: microF1.gain } }),
  };
}
