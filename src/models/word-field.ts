import { tf, type Tensor, type Tensor1D } from '../graph/index.js';
import { crfNegativeLogLikelihood, viterbi, type CrfWeights } from './crf.js';
import type { TransitionRules } from './crf-rules.js';

/**
 * A CRF over the words of sequences of tokens: the tokens that words are labelled at are moved together, to the front of
 * their row, before the chain is laid over them. B sequences of S tokens, L labels.
 */

interface Fields {
  /** The mean over the sequences of the negative log-likelihood of the labels (int32 [B, S], -1: none). */
  loss(logits: Tensor, labels: Tensor, weights: CrfWeights): Tensor;
  /** The likeliest labels, int32 [B, S] (0 where no word is), and each sequence's loss, [B]. */
  decode(logits: Tensor, wordMask: Tensor, labels: Tensor, weights: CrfWeights): { tags: Tensor; losses: Tensor };
}

/** @param rules which labels may follow each other; undefined: any */
export function wordField(labelCount: number, rules: TransitionRules | undefined): Fields {
  const chain = (logits: Tensor, mask: Tensor) => {
    const [batch, length] = mask.shape as [number, number];
    const rows = rowStarts(batch, length);
    const { places, ranks, words } = wordPlaces(mask, rows);
    const gathered = tf.gather(tf.reshape(logits, [-1, labelCount]), tf.reshape(places, [-1]));
    const moved = (x: Tensor): Tensor =>
      tf.reshape(tf.gather(tf.reshape(x, [-1]), tf.reshape(places, [-1])), [batch, length]);
    return { emissions: tf.reshape(gathered, [batch, length, labelCount]), mask: words, moved, ranks, rows };
  };
  const isKnown = (labels: Tensor): Tensor => tf.cast(tf.greaterEqual(labels, zero()), 'int32');
  return {
    loss(logits, labels, weights) {
      const { emissions, mask, moved } = chain(logits, isKnown(labels));
      return crfNegativeLogLikelihood({ emissions, mask, tags: moved(labels) }, weights, rules);
    },
    decode(logits, wordMask, labels, weights) {
      const words = chain(logits, wordMask);
      const best = viterbi(words, weights, rules);
      const back = tf.gather(tf.reshape(best, [-1]), tf.reshape(tf.add(words.ranks, words.rows), [-1]));
      const known = chain(logits, isKnown(labels));
      const inputs = { emissions: known.emissions, mask: known.mask, tags: known.moved(labels) };
      return {
        tags: tf.mul(tf.reshape(back, wordMask.shape), wordMask),
        losses: crfNegativeLogLikelihood(inputs, weights, rules, 'none'),
      };
    },
  };
}

const zero = (): Tensor => tf.scalar(0, 'int32');

/** The number of each row's first token, of all tokens, int32 [B, 1]. */
const rowStarts = (batch: number, length: number): Tensor =>
  tf.reshape(tf.mul(tf.range(0, batch, 1, 'int32'), tf.scalar(length, 'int32')), [batch, 1]);

/**
 * @param mask int32 [B, S]: 1 for the tokens that are moved to the front
 * @returns places: which token stands at each place afterwards, of all tokens, and each row's first where none does;
 *   ranks: how many are moved before each token; words: 1 where a token stands afterwards. All int32 [B, S].
 */
function wordPlaces(mask: Tensor, rows: Tensor) {
  const [batch, length] = mask.shape as [number, number];
  const ranks = tf.cumsum(mask, 1, true);
  const tokens = tf.reshape(tf.range(0, length, 1, 'int32'), [1, length]);
  // Those that stay behind are added to the place of the next word, as nothing.
  const numbers = tf.reshape(tf.mul(tokens, mask), [-1]);
  const targets: Tensor1D = tf.reshape(tf.add(ranks, rows), [-1]);
  const places = tf.reshape(tf.unsortedSegmentSum(numbers, targets, batch * length), [batch, length]);
  const counts = tf.sum(mask, 1, true);
  return { places: tf.add(places, rows), ranks, words: tf.cast(tf.less(tokens, counts), 'int32') };
}
