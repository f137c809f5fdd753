import { compareCodePoints } from '../data/labels.js';
import type { AverageScores, ClassScores } from './classification.js';
import type { EntitySpan } from './tags.js';

export interface TypeScores extends ClassScores {
  readonly type: string;
}

export interface EntityMetrics {
  /** The types that occur, true or predicted, in the order of their code points. */
  readonly types: readonly TypeScores[];
  /** All entities together. */
  readonly micro: AverageScores;
  /** Mean over the types. */
  readonly macro: AverageScores;
  /** Mean over the types, weighted by support. */
  readonly weighted: AverageScores;
  /** True entities. */
  readonly support: number;
  readonly predicted: number;
  /** Predicted entities with the type and the place of a true one. */
  readonly correct: number;
}

interface Counts {
  correct: number;
  predicted: number;
  support: number;
}

/**
 * Precision, recall and F1 of whole entities, equal to seqeval's with zero_division=0; all zero where there is neither
 * a true nor a predicted one, which seqeval refuses.
 *
 * @param gold entities of each sentence, each once
 * @param predicted of as many sentences
 */
export function entityMetrics(
  gold: readonly (readonly EntitySpan[])[],
  predicted: readonly (readonly EntitySpan[])[],
): EntityMetrics {
  if (gold.length !== predicted.length) {
    throw new Error(`entityMetrics: ${gold.length} sentences, but predictions of ${predicted.length}`);
  }
  const counts = countByType(gold, predicted);
  const names = [...counts.keys()].sort(compareCodePoints);
  const types = names.map((type) => ({ type, ...scoresOf(counts.get(type)!), support: counts.get(type)!.support }));
  const all = { correct: 0, predicted: 0, support: 0 };
  for (const one of counts.values()) add(all, one);
  return {
    types,
    micro: scoresOf(all),
    macro: average(
      types,
      types.map(() => 1),
    ),
    weighted: average(
      types,
      types.map(({ support }) => support),
    ),
    ...all,
  };
}

function countByType(
  gold: readonly (readonly EntitySpan[])[],
  predicted: readonly (readonly EntitySpan[])[],
): Map<string, Counts> {
  const counts = new Map<string, Counts>();
  const of = (type: string): Counts => {
    const known = counts.get(type) ?? { correct: 0, predicted: 0, support: 0 };
    counts.set(type, known);
    return known;
  };
  gold.forEach((entities, sentence) => {
    const places = new Set(entities.map(placeOf));
    for (const { type } of entities) of(type).support++;
    for (const entity of predicted[sentence]!) {
      of(entity.type).predicted++;
      if (places.has(placeOf(entity))) of(entity.type).correct++;
    }
  });
  return counts;
}

const placeOf = ({ type, start, end }: EntitySpan): string => `${start} ${end} ${type}`;

function add(sum: Counts, { correct, predicted, support }: Counts): void {
  sum.correct += correct;
  sum.predicted += predicted;
  sum.support += support;
}

function scoresOf({ correct, predicted, support }: Counts): AverageScores {
  return {
    precision: ratio(correct, predicted),
    recall: ratio(correct, support),
    f1: ratio(2 * correct, predicted + support),
  };
}

function average(types: readonly TypeScores[], weights: readonly number[]): AverageScores {
  const total = sum(weights);
  const mean = (of: (scores: TypeScores) => number): number =>
    ratio(sum(types.map((scores, i) => of(scores) * weights[i]!)), total);
  return { precision: mean((s) => s.precision), recall: mean((s) => s.recall), f1: mean((s) => s.f1) };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** 0 / 0 is 0, as seqeval has it with zero_division=0. */
const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
