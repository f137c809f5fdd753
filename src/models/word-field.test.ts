import { expect } from 'chai';
import { buildProgram, dimension, openSession, tf, type HostTensor, type Scalar, type Tensor } from '../graph/index.js';
import { crfNegativeLogLikelihood, viterbi, type CrfWeights } from './crf.js';
import { transitionRules } from './crf-rules.js';
import { wordField } from './word-field.js';

const names = ['O', 'B-A', 'I-A'];
const rules = transitionRules(names, 'IOB2');
const number = (i: number): number => Math.sin(i * 12.9898) * 2;
const weights = (): CrfWeights => ({
  transitions: tf.tensor2d(
    Array.from({ length: 9 }, (_, i) => number(i + 100)),
    [3, 3],
  ),
  startTransitions: tf.tensor1d([0.3, -0.2, 0.5]),
  endTransitions: tf.tensor1d([0.1, 0.4, -0.6]),
});

/** Rows of tokens; -1 where a token is no word's. The second has none at its ends, the third none at all. */
const labels = [
  [-1, 0, 1, 2, 0, 1, -1],
  [-1, -1, 1, -1, 2, -1, -1],
  [-1, -1, -1, -1, -1, -1, -1],
  [-1, 0, -1, -1, -1, -1, -1],
];
const [batch, length] = [labels.length, labels[0]!.length];
const logits = Float32Array.from({ length: batch * length * 3 }, (_, i) => number(i));
const words = labels.map((row) => row.flatMap((label, token) => (label >= 0 ? [token] : [])));

const integers = (rows: readonly (readonly number[])[]): HostTensor => ({
  shape: [rows.length, rows[0]!.length],
  data: Int32Array.from(rows.flat()),
});

describe('a CRF over the words of tokens', () => {
  const session = openSession(
    buildProgram({
      variables: [],
      functions: {
        both: {
          inputs: {
            logits: { dtype: 'float32', shape: [dimension('tokens'), 3] },
            labels: { dtype: 'int32', shape: [dimension('batch'), dimension('sequence')] },
            wordMask: { dtype: 'int32', shape: [dimension('batch'), dimension('sequence')] },
          },
          build(inputs) {
            const field = wordField(3, rules);
            const lossOf = (x: Tensor): Scalar => tf.reshape(field.loss(x, inputs.labels!, weights()), []);
            const { value, grads } = tf.valueAndGrads((x: Tensor) => lossOf(x))([inputs.logits!]);
            return {
              loss: value,
              gradient: grads[0]!,
              ...field.decode(inputs.logits!, inputs.wordMask!, inputs.labels!, weights()),
            };
          },
        },
      },
    }),
  );
  after(() => {
    session.dispose();
  });

  const outputs = () =>
    session.run('both', {
      logits: { shape: [batch * length, 3], data: logits },
      labels: integers(labels),
      wordMask: integers(labels.map((row) => row.map((label) => (label >= 0 ? 1 : 0)))),
    });

  /** One sentence of words alone, as crf.ts takes it. */
  const sentence = (row: number) => {
    const tokens = words[row]!;
    const emissions = tokens.map((token) =>
      Array.from({ length: 3 }, (_, c) => logits[(row * length + token) * 3 + c]!),
    );
    return {
      emissions: tf.tensor3d([emissions]),
      mask: tf.ones([1, tokens.length], 'int32'),
      tags: tf.tensor2d([tokens.map((token) => labels[row]![token]!)], undefined, 'int32'),
    };
  };

  it('has the loss and the labels of the words alone, each label at its token', () => {
    const { losses, tags, loss } = outputs();
    let sum = 0;
    for (const [row, tokens] of words.entries()) {
      const expected = new Int32Array(length);
      let own = 0;
      if (tokens.length > 0) {
        own = crfNegativeLogLikelihood(sentence(row), weights(), rules).dataSync()[0]!;
        const best = viterbi(sentence(row), weights(), rules).dataSync();
        tokens.forEach((token, word) => (expected[token] = best[word]!));
      }
      expect(losses!.data[row], `loss of row ${row}`).to.be.closeTo(own, 1e-5);
      expect([...(tags!.data as Int32Array).subarray(row * length, (row + 1) * length)]).to.deep.equal([...expected]);
      sum += own;
    }
    expect(loss!.data[0]).to.be.closeTo(sum / 3, 1e-5);
  });

  it('has a gradient at the tokens of words only: that of the loss', () => {
    const { gradient } = outputs();
    const step = 1e-2;
    const lossWith = (token: number, change: number): number => {
      const changed = logits.slice();
      changed[token]! += change;
      return session.run('both', {
        logits: { shape: [batch * length, 3], data: changed },
        labels: integers(labels),
        wordMask: integers(labels.map((row) => row.map(() => 1))),
      }).loss!.data[0] as number;
    };
    for (let i = 0; i < logits.length; i++) {
      const difference = (lossWith(i, step) - lossWith(i, -step)) / (2 * step);
      expect(gradient!.data[i], `logit ${i}`).to.be.closeTo(difference, 2e-3);
      if (labels.flat()[Math.floor(i / 3)]! < 0) expect(gradient!.data[i]).to.equal(0);
    }
  });
});
