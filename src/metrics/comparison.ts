import { microF1GainInterval, type Interval } from './bootstrap.js';
import { mcnemarTest, type McNemarTest } from './mcnemar.js';
import { addCounts, ratio, scoresOf, type Counts } from './scores.js';

/**
 * One label an example, any number of labels, or entities. What a model says of an example is a set of strings either
 * way: its label, its labels, or each entity with its place.
 */
export type AnswerKind = 'label' | 'labels' | 'entities';

export interface Comparison {
  readonly kind: AnswerKind;
  readonly examples: number;
  /** The share of the examples whose whole answer is right. */
  readonly first: number;
  readonly second: number;
  /** Examples that the first model alone gets right. */
  readonly onlyFirst: number;
  readonly onlySecond: number;
  readonly test: McNemarTest;
  /** Absent where each example has one label. */
  readonly microF1: { readonly first: number; readonly second: number; readonly gain: Interval } | undefined;
}

/**
 * Compares two models on the same examples.
 *
 * @param gold what is true of each example, each string once
 * @param first what the first model says of as many
 * @param second what the second says
 */
export function compareAnswers(
  kind: AnswerKind,
  gold: readonly (readonly string[])[],
  first: readonly (readonly string[])[],
  second: readonly (readonly string[])[],
): Comparison {
  const counts = [first, second].map((answers) => gold.map((truth, i) => countsOf(truth, answers[i]!)));
  const [ofFirst, ofSecond] = [counts[0]!, counts[1]!];
  let [both, onlyFirst, onlySecond] = [0, 0, 0];
  gold.forEach((_, i) => {
    const [a, b] = [isRight(ofFirst[i]!), isRight(ofSecond[i]!)];
    if (a && b) both++;
    else if (a) onlyFirst++;
    else if (b) onlySecond++;
  });
  return {
    kind,
    examples: gold.length,
    first: ratio(both + onlyFirst, gold.length),
    second: ratio(both + onlySecond, gold.length),
    onlyFirst,
    onlySecond,
    test: mcnemarTest(onlyFirst, onlySecond),
    microF1:
      kind === 'label'
        ? undefined
        : {
            first: scoresOf(addCounts(ofFirst)).f1,
            second: scoresOf(addCounts(ofSecond)).f1,
            gain: microF1GainInterval(ofFirst, ofSecond),
          },
  };
}

function countsOf(truth: readonly string[], answer: readonly string[]): Counts {
  const correct = answer.filter((one) => truth.includes(one)).length;
  return { correct, predicted: answer.length, support: truth.length };
}

const isRight = ({ correct, predicted, support }: Counts): boolean => correct === predicted && correct === support;
