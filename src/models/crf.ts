import { tensorList, tf, whileLoop, type Tensor, type Tensor1D, type TensorList } from '../graph/index.js';
import { differentiable, reverseSequence } from '../graph/ops.js';
import type { TransitionRules } from './crf-rules.js';
import type { Weights } from './layers.js';
import type { VariableSpec } from './variables.js';

/**
 * A linear-chain conditional random field (Lafferty et al. 2001), with the scores of pytorch-crf 0.7.2: a path's score is
 * the sum of its words' emissions, of the transitions between them, and of one for its first and one for its last label.
 * All of it is float32 in every precision. Letters: B batch, W words, L labels.
 */

export interface CrfWeights {
  /** From row to column, [L, L]. */
  readonly transitions: Tensor;
  /** Of the first word's label, [L]. */
  readonly startTransitions: Tensor;
  /** Of the last word's label, [L]. */
  readonly endTransitions: Tensor;
}

export interface CrfInputs {
  /** The scores of each word's labels, float32 [B, W, L]. */
  readonly emissions: Tensor;
  /** 1 for a word, 0 behind the last one, int32 [B, W]; a row may have no words. */
  readonly mask: Tensor;
}

export interface TaggedInputs extends CrfInputs {
  /** Label numbers, int32 [B, W]; any number behind the last word. */
  readonly tags: Tensor;
}

/** pytorch-crf's: each sentence's loss, their sum, and that divided by the number of sentences or of words. */
export type CrfReduction = 'none' | 'sum' | 'mean' | 'token_mean';

/** Zeros: at first the field says what a softmax of each word by itself says. */
export function crfVariables(labels: number): VariableSpec[] {
  const variable = (name: string, shape: readonly number[]): VariableSpec => ({
    name: `crf/${name}`,
    shape,
    initializer: { kind: 'zeros' },
    part: 'head',
  });
  return [
    variable('transitions', [labels, labels]),
    variable('start_transitions', [labels]),
    variable('end_transitions', [labels]),
  ];
}

export const crfWeights = (weights: Weights): CrfWeights => ({
  transitions: weights('crf/transitions'),
  startTransitions: weights('crf/start_transitions'),
  endTransitions: weights('crf/end_transitions'),
});

/**
 * The negative log-likelihood of the tags, as one number (pytorch-crf's `forward` with the sign of a loss). Sentences
 * without words add nothing and do not count in the mean.
 *
 * @returns a scalar; [B] for `none`
 */
export function crfNegativeLogLikelihood(
  inputs: TaggedInputs,
  weights: CrfWeights,
  rules: TransitionRules | undefined,
  reduction: CrfReduction = 'mean',
): Tensor {
  const losses = crfLosses(inputs, weights, rules);
  if (reduction === 'none') return losses;
  return differentiable(
    [losses],
    (save) => {
      const shares = sharesOf(inputs.mask, reduction);
      save([shares]);
      return tf.sum(tf.mul(losses, shares));
    },
    (dy, [shares]) => [tf.mul(shares!, dy)],
  );
}

/** What each sentence's loss counts for, [B]. */
function sharesOf(mask: Tensor, reduction: Exclude<CrfReduction, 'none'>): Tensor {
  const ones = tf.ones([mask.shape[0]]);
  if (reduction === 'sum') return ones;
  const words = tf.cast(mask, 'float32');
  const count = reduction === 'token_mean' ? tf.sum(words) : tf.sum(tf.max(words, 1));
  return tf.div(ones, tf.maximum(count, 1));
}

/** The scores with the rules' penalties. */
function ruled({ transitions, startTransitions, endTransitions }: CrfWeights, rules: TransitionRules | undefined) {
  if (rules === undefined) return { between: transitions, start: startTransitions, end: endTransitions };
  const labels = transitions.shape[0];
  return {
    between: tf.add(transitions, tf.tensor2d([...rules.transitions], [labels, labels])),
    start: tf.add(startTransitions, tf.tensor1d([...rules.start])),
    end: tf.add(endTransitions, tf.tensor1d([...rules.end])),
  };
}

/** What of a mask [B, W] the recursions need, by words. */
function wordsOf(mask: Tensor) {
  const [batch, words] = mask.shape as [number, number];
  const lengths = tf.sum(tf.cast(mask, 'int32'), 1); // [B]
  const places = tf.reshape(tf.range(0, words, 1, 'int32'), [words, 1]);
  const lengthsOfRow = tf.reshape(lengths, [1, batch]);
  return {
    lengths,
    /** 1 for a word, float32 [W, B]. */
    real: tf.cast(tf.less(places, lengthsOfRow), 'float32'),
    /** 1 for the last word of each sentence, float32 [W, B]. */
    isLast: tf.cast(tf.equal(tf.add(places, tf.scalar(1, 'int32')), lengthsOfRow), 'float32'),
  };
}

/** The rows of x [W, ...] from `start` on. */
const rows = (x: Tensor, start: number, count: number): Tensor =>
  tf.slice(x, [start, ...x.shape.slice(1).map(() => 0)], [count, ...x.shape.slice(1)]);

/** An int32 matrix with its axes exchanged. By way of float32: for int32 oneDNN writes an error where it has no kernel. */
const turned = (x: Tensor): Tensor => tf.cast(tf.transpose(tf.cast(x, 'float32')), 'int32');

const firstRow = (x: Tensor): Tensor => tf.gather(x, tf.scalar(0, 'int32'));

const logSumExp = (x: Tensor, axis: number): Tensor => {
  const largest = tf.max(x, axis, true);
  const sum = tf.sum(tf.exp(tf.sub(x, largest)), axis);
  return tf.add(tf.log(sum), tf.reshape(largest, sum.shape));
};

/**
 * The loss of each sentence, [B]. The gradient is the difference between what the field expects (the marginals, by the
 * forward-backward recursions) and the tags; nothing is differentiated through the loop.
 */
function crfLosses({ emissions, tags, mask }: TaggedInputs, weights: CrfWeights, rules: TransitionRules | undefined) {
  const { transitions, startTransitions, endTransitions } = weights;
  const [batch, words, labels] = emissions.shape as [number, number, number];
  return differentiable(
    [emissions, transitions, startTransitions, endTransitions],
    (save) => {
      const { lengths, real, isLast } = wordsOf(mask);
      const scores = ruled(weights, rules);
      const byWord = tf.transpose(emissions, [1, 0, 2]); // [W, B, L]
      const gold = turned(tf.mul(tags, tf.cast(mask, 'int32'))); // [W, B]
      const goldLabels = tf.oneHot(gold, labels); // [W, B, L]
      const pairs = pairsOf(gold, labels); // [W - 1, B]

      // Both recursions count each word's score from the one that its tag has: what they add up is then the loss itself,
      // which keeps its digits where the model is right and the loss a small difference of large scores.
      const ofWord = tf.sum(tf.mul(byWord, goldLabels), -1); // [W, B]
      const ofPair = tf.gather(tf.reshape(transitions, [-1]), pairs); // [W - 1, B]
      const nothing = tf.zeros([1, batch]);
      const before = tf.add(ofWord, tf.concat([nothing, ofPair], 0));
      const ofEnd = tf.mul(isLast, tf.gather(endTransitions, gold));
      const behind = tf.add(tf.mul(tf.concat([ofPair, nothing], 0), tf.sub(1, isLast)), ofEnd);
      const after = tf.add(ofWord, behind);

      const { forward, backward, offsets } = forwardBackward(
        tf.sub(byWord, tf.expandDims(before, -1)),
        tf.sub(byWord, tf.expandDims(after, -1)),
        lengths,
        scores,
      );
      save([forward, backward, byWord, goldLabels, real, isLast, pairs, scores.between]);

      const goldStart = tf.gather(startTransitions, firstRow(gold));
      const steps = tf.sum(tf.mul(offsets, real), 0); // [B]
      const first = tf.sub(logSumExp(tf.add(firstRow(backward), scores.start), -1), goldStart);
      const penalties = goldPenalties(rules, gold, pairs, real, isLast);
      return tf.mul(tf.sub(tf.add(steps, first), penalties), firstRow(real));
    },
    (dy, saved) => {
      const [forward, backward, byWord, goldLabels, real, isLast, pairs, between] = saved as Eight;
      const weight = tf.mul(real, dy); // [W, B]
      const marginals = tf.softmax(tf.sub(tf.add(forward, backward), byWord)); // [W, B, L]
      const dWords = tf.mul(tf.sub(marginals, goldLabels), tf.expandDims(weight, -1));

      const pairWeight = rows(weight, 1, words - 1); // [W - 1, B]
      const into = tf.expandDims(rows(backward, 1, words - 1), 2); // [W - 1, B, 1, L]
      const pairScores = tf.add(tf.add(tf.expandDims(rows(forward, 0, words - 1), 3), between), into);
      const pairMarginals = tf.softmax(tf.reshape(pairScores, [words - 1, batch, labels * labels]));
      const expected = tf.sum(tf.mul(pairMarginals, tf.expandDims(pairWeight, -1)), [0, 1]); // [L * L]
      const flatPairs: Tensor1D = tf.reshape(pairs, [-1]);
      const counted = tf.unsortedSegmentSum(tf.reshape(pairWeight, [-1]), flatPairs, labels * labels);
      return [
        tf.transpose(dWords, [1, 0, 2]),
        tf.reshape(tf.sub(expected, counted), [labels, labels]),
        tf.sum(firstRow(dWords), 0),
        tf.sum(tf.mul(dWords, tf.expandDims(isLast, -1)), [0, 1]),
      ];
    },
  );
}

type Eight = [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];

/** For tags [W, B] the number of each transition in the flat table of them, [W - 1, B]. */
function pairsOf(tags: Tensor, labels: number): Tensor {
  const count = tags.shape[0] - 1;
  return tf.add(tf.mul(rows(tags, 0, count), tf.scalar(labels, 'int32')), rows(tags, 1, count));
}

/** The sum of the penalties on the path of the tags [W, B], for tags that break the rules; [B], or a scalar 0. */
function goldPenalties(
  rules: TransitionRules | undefined,
  tags: Tensor,
  pairs: Tensor,
  real: Tensor,
  isLast: Tensor,
): Tensor {
  if (rules === undefined) return tf.scalar(0);
  const of = (penalties: readonly number[], numbers: Tensor): Tensor => tf.gather(tf.tensor1d([...penalties]), numbers);
  const between = tf.mul(of(rules.transitions, pairs), rows(real, 1, real.shape[0] - 1));
  const end = tf.mul(of(rules.end, tags), isLast);
  return tf.add(tf.add(tf.sum(between, 0), tf.sum(end, 0)), of(rules.start, firstRow(tags)));
}

/**
 * For each word and label the logarithm of the summed weights of all paths that end there (`forward`), and of all that
 * begin there (`backward`), both with the word's own score; for each word of each sentence up to a constant, by which
 * the scores given differ and which keeps the sums of long sentences small. Behind a sentence's last word they mean
 * nothing, but are finite.
 *
 * @param before, after the words' scores for either direction, [W, B, L]
 * @returns [W, B, L] each, and by how much each word's `backward` was lowered, which lowers all before it, [W, B]
 */
function forwardBackward(
  before: Tensor,
  after: Tensor,
  lengths: Tensor,
  { between, start, end }: ReturnType<typeof ruled>,
): { forward: Tensor; backward: Tensor; offsets: Tensor } {
  const [words, batch, labels] = before.shape as [number, number, number];
  // The backward recursion is the forward one of the sentence turned round: one loop does both.
  const steps = tf.stack([before, reverseSequence(after, lengths)], 1); // [W, 2, B, L]
  const edges = tf.reshape(tf.stack([start, end]), [2, 1, labels]);
  const tables = tf.reshape(tf.stack([between, tf.transpose(between)]), [2, 1, labels, labels]); // [2, 1, from, to]
  const first = tf.add(edges, firstRow(steps)); // [2, B, L]
  const zero = tf.scalar(0, 'int32');
  const [, , states, lowered] = whileLoop(
    (word) => tf.less(word, tf.scalar(words, 'int32')),
    (word, state, list, offsets) => {
      const paths = tf.add(tf.expandDims(state, 3), tables); // [2, B, from, to]
      const sums = tf.add(logSumExp(paths, 2), tf.gather(steps, word));
      const offset = tf.max(sums, -1, true); // [2, B, 1]
      const next = tf.sub(sums, offset);
      return [tf.add(word, tf.scalar(1, 'int32')), next, list.set(word, next), offsets.set(word, offset)];
    },
    [
      tf.scalar(1, 'int32'),
      first,
      tensorList(words, [2, batch, labels]).set(zero, first),
      tensorList(words, [2, batch, 1]),
    ],
  );
  const direction = (list: TensorList, index: number): Tensor => {
    const size = list.shape[2]!;
    return tf.reshape(tf.slice(list.stack(), [0, index, 0, 0], [words, 1, batch, size]), [words, batch, size]);
  };
  return {
    forward: direction(states, 0),
    backward: reverseSequence(direction(states, 1), lengths),
    // Still turned round, but within each sentence, of which the sum is taken.
    offsets: tf.reshape(direction(lowered, 1), [words, batch]),
  };
}

/**
 * The best path of each sentence (Viterbi 1967). Where several are equally good, it is pytorch-crf's: the last label is
 * the first of the best ones, and so is each before it.
 *
 * @returns label numbers, int32 [B, W]; 0 behind the last word
 */
export function viterbi({ emissions, mask }: CrfInputs, weights: CrfWeights, rules?: TransitionRules): Tensor {
  const [batch, words, labels] = emissions.shape as [number, number, number];
  const { between, start, end } = ruled(weights, rules);
  const { real, isLast } = wordsOf(mask);
  const byWord = tf.transpose(emissions, [1, 0, 2]); // [W, B, L]
  const scores = bestScores(byWord, start, between); // [W, B, L]

  const from = tf.add(tf.expandDims(rows(scores, 0, words - 1), 3), between); // [W - 1, B, from, to]
  const best = tf.argMax(tf.add(from, tf.expandDims(rows(byWord, 1, words - 1), 2)), 2); // [W - 1, B, to]
  // Behind the last word each label comes from itself, so that every path can be followed back from the batch's end.
  const isReal = tf.expandDims(tf.cast(rows(real, 1, words - 1), 'int32'), -1);
  const itself = tf.mul(tf.range(0, labels, 1, 'int32'), tf.sub(tf.scalar(1, 'int32'), isReal));
  const pointers = tf.add(tf.mul(best, isReal), itself);

  const lastScores = tf.sum(tf.mul(scores, tf.expandDims(isLast, -1)), 0); // [B, L]
  const lastTags = tf.argMax(tf.add(lastScores, end), -1); // [B]
  const paths = followBack(pointers, lastTags, batch, words); // [W, B]
  return tf.mul(turned(paths), tf.cast(mask, 'int32'));
}

/** The score of the best path to each word and label, [W, B, L], added up in pytorch-crf's order. */
function bestScores(byWord: Tensor, start: Tensor, between: Tensor): Tensor {
  const [words, batch, labels] = byWord.shape as [number, number, number];
  const first = tf.add(start, firstRow(byWord));
  const [, , list] = whileLoop(
    (word) => tf.less(word, tf.scalar(words, 'int32')),
    (word, state, states) => {
      const next = tf.add(tf.max(tf.add(tf.expandDims(state, 2), between), 1), tf.gather(byWord, word));
      return [tf.add(word, tf.scalar(1, 'int32')), next, states.set(word, next)];
    },
    [tf.scalar(1, 'int32'), first, tensorList(words, [batch, labels]).set(tf.scalar(0, 'int32'), first)],
  );
  return list.stack();
}

/** The tags of the paths that end in `lastTags` [B], by the label that each comes from, [W - 1, B, L] -> [W, B]. */
function followBack(pointers: Tensor, lastTags: Tensor, batch: number, words: number): Tensor {
  const one = tf.scalar(1, 'int32');
  const last = tf.scalar(words - 1, 'int32');
  const [, , list] = whileLoop(
    (word) => tf.greater(word, tf.scalar(0, 'int32')),
    (word, tags, path) => {
      const previous = tf.sub(word, one);
      const table = tf.gather(pointers, previous); // [B, L]
      const next = tf.reshape(tf.gather(table, tf.reshape(tags, [batch, 1]), 1, 1), [batch]);
      return [previous, next, path.set(previous, next)];
    },
    [last, lastTags, tensorList(words, [batch], 'int32').set(last, lastTags)],
  );
  return list.stack();
}
