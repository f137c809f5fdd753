import { compareCodePoints } from '../data/labels.js';
import {
  addCounts,
  classScoresOf,
  macroAverage,
  scoresOf,
  weightedAverage,
  type AverageScores,
  type ClassScores,
  type Counts,
} from './scores.js';
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

type Sentences = readonly (readonly EntitySpan[])[];

/**
 * Precision, recall and F1 of whole entities, equal to seqeval's with zero_division=0; all zero where there is neither
 * a true nor a predicted one, which seqeval refuses.
 *
 * @param gold entities of each sentence, each once
 * @param predicted of as many sentences
 */
export function entityMetrics(gold: Sentences, predicted: Sentences): EntityMetrics {
  const counts = countByType(gold, predicted);
  const names = [...counts.keys()].sort(compareCodePoints);
  const types = names.map((type) => ({ type, ...classScoresOf(counts.get(type)!) }));
  const all = addCounts(counts.values());
  return { types, micro: scoresOf(all), macro: macroAverage(types), weighted: weightedAverage(types), ...all };
}

type Tally = { -readonly [key in keyof Counts]: number };

function countByType(gold: Sentences, predicted: Sentences): Map<string, Counts> {
  const counts = new Map<string, Tally>();
  const of = (type: string): Tally => {
    const known = counts.get(type) ?? { correct: 0, predicted: 0, support: 0 };
    counts.set(type, known);
    return known;
  };
  forEachSentence(gold, predicted, (trueOnes, found, isTrue) => {
    for (const { type } of trueOnes) of(type).support++;
    for (const entity of found) {
      of(entity.type).predicted++;
      if (isTrue(entity)) of(entity.type).correct++;
    }
  });
  return counts;
}

/** What each sentence adds to the micro average: what its bootstrap interval is drawn from. */
export function sentenceCounts(gold: Sentences, predicted: Sentences): Counts[] {
  const counts: Counts[] = [];
  forEachSentence(gold, predicted, (trueOnes, found, isTrue) => {
    counts.push({ correct: found.filter(isTrue).length, predicted: found.length, support: trueOnes.length });
  });
  return counts;
}

function forEachSentence(
  gold: Sentences,
  predicted: Sentences,
  visit: (
    gold: readonly EntitySpan[],
    predicted: readonly EntitySpan[],
    isTrue: (entity: EntitySpan) => boolean,
  ) => void,
): void {
  if (gold.length !== predicted.length) {
    throw new Error(`entityMetrics: ${gold.length} sentences, but predictions of ${predicted.length}`);
  }
  gold.forEach((entities, sentence) => {
    const places = new Set(entities.map(placeOf));
    visit(entities, predicted[sentence]!, (entity) => places.has(placeOf(entity)));
  });
}

const placeOf = ({ type, start, end }: EntitySpan): string => `${start} ${end} ${type}`;
