import { expect } from 'chai';
import { dimension, tf, type HostTensor, type Tensor, type TensorSpec } from '../graph/index.js';
import { floats, integers, largestDifference, numbersOf, runEagerly, sample, stage } from '../graph/testing.js';
import {
  crossEntropyLoss,
  type CrossEntropySettings,
  meanBinaryCrossEntropy,
  meanCrossEntropy,
  meanLabelledCrossEntropy,
} from './losses.js';

type Loss = (logits: Tensor, labels: Tensor) => Tensor;

const classes = 5;
const classWeights = [0.5, 2, 0.25, 1, 3];
const plain: CrossEntropySettings = { classWeights: undefined, labelSmoothing: 0, focalGamma: 0 };

/** Loss, and gradient with respect to the logits, when the loss is one of two parts of a sum. */
function measure(loss: Loss, logits: HostTensor, labels: HostTensor): HostTensor[] {
  return runEagerly([logits, labels], (x, y) => {
    const { value, grad } = tf.valueAndGrad((given: Tensor) => tf.mul(loss(given, y), 0.7))(x);
    return [value, grad];
  });
}

/** The definitions, in tfjs's own ops, whose gradients tfjs knows. */
function definition({ classWeights: given, labelSmoothing, focalGamma }: CrossEntropySettings): Loss {
  return (logits, labels) => {
    const weights = tf.tensor1d(given === undefined ? new Array<number>(classes).fill(1) : [...given]);
    const flat = tf.reshape(labels, [-1]);
    const isTarget = tf.oneHot(flat, classes, 1, 0, 'float32'); // a row of zeros for -1
    const isLabelled = tf.sum(isTarget, -1);
    const exponentials = tf.exp(tf.sub(logits, tf.max(logits, -1, true)));
    const probabilities = tf.div(exponentials, tf.sum(exponentials, -1, true));
    const entropies = tf.mul(tf.neg(tf.log(probabilities)), weights); // [N, C]
    const total = tf.sum(tf.mul(isTarget, weights));
    const hard = tf.sum(tf.mul(entropies, isTarget), -1);
    const right = tf.sum(tf.mul(probabilities, isTarget), -1);
    const focal = tf.mul(hard, tf.pow(tf.sub(1, right), focalGamma));
    const spread = tf.mul(tf.sum(entropies, -1), isLabelled);
    const rows = tf.add(tf.mul(focal, 1 - labelSmoothing), tf.mul(spread, labelSmoothing / classes));
    return tf.div(tf.sum(rows), total);
  };
}

const cases: [string, CrossEntropySettings][] = [
  ['class weights', { ...plain, classWeights }],
  ['label smoothing', { ...plain, labelSmoothing: 0.1 }],
  ['label smoothing and class weights', { ...plain, labelSmoothing: 0.3, classWeights }],
  ['focal gamma 2', { ...plain, focalGamma: 2 }],
  ['focal gamma 0.5 and class weights', { ...plain, focalGamma: 0.5, classWeights }],
];

const logits = sample([6, classes]);
const sparse = integers([2, 3], [2, -1, 4, 0, -1, 1]);

describe('cross entropy', () => {
  for (const [title, settings] of cases) {
    it(`with ${title} has the values and gradients of its definition`, () => {
      for (const labels of [integers([6], [2, 0, 4, 4, 1, 3]), sparse]) {
        const got = measure(crossEntropyLoss(settings), logits, labels);
        const expected = measure(definition(settings), logits, labels);
        expect(largestDifference(got[0]!, expected[0]!), 'loss').to.be.below(1e-6);
        expect(largestDifference(got[1]!, expected[1]!), 'gradient').to.be.below(1e-6);
      }
    });

    it(`with ${title} is the same in a graph of any batch size`, () => {
      const specs: TensorSpec[] = [
        { dtype: 'float32', shape: [dimension('batch'), classes] },
        { dtype: 'int32', shape: [dimension('batch')] },
      ];
      const staged = stage(specs, (x, y) => {
        const { value, grad } = tf.valueAndGrad((given: Tensor) => tf.mul(crossEntropyLoss(settings)(given, y), 0.7))(
          x,
        );
        return [value, grad];
      });
      for (const size of [1, 6]) {
        const inputs = [sample([size, classes]), integers([size], [2, 0, -1, 4, 1, 3].slice(0, size))] as const;
        const got = staged.run(...inputs);
        measure(crossEntropyLoss(settings), ...inputs).forEach((expected, i) => {
          expect(largestDifference(got[i]!, expected)).to.be.below(1e-6);
        });
      }
      staged.dispose();
    });

    it(`with ${title} stays finite where the model is sure, rightly or wrongly, and where nothing is labelled`, () => {
      const sure = floats([2, classes], [100, 0, 0, 0, 0, 0, 0, 100, 0, 0]);
      for (const labels of [
        [0, 2],
        [1, 1],
      ]) {
        const [loss, gradient] = measure(crossEntropyLoss(settings), sure, integers([2], labels)).map(numbersOf);
        expect([...loss!, ...gradient!].every(Number.isFinite)).to.equal(true);
      }
      const [loss, gradient] = measure(crossEntropyLoss(settings), sure, integers([2], [-1, -1])).map(numbersOf);
      expect(Math.max(...loss!, ...gradient!.map(Math.abs))).to.equal(0);
    });
  }

  it('without any of them is the plain mean', () => {
    const whole = integers([6], [2, 0, 4, 4, 1, 3]);
    for (const [labels, mean] of [
      [whole, meanCrossEntropy],
      [sparse, meanLabelledCrossEntropy],
    ] as const) {
      measure(crossEntropyLoss(plain), logits, labels).forEach((got, i) => {
        expect(largestDifference(got, measure(mean, logits, labels)[i]!)).to.be.below(1e-6);
      });
    }
  });
});

describe('binary cross entropy', () => {
  const labels = integers([3, 4], [1, 0, 0, 1, 0, 0, 0, 0, 1, 1, 1, 1]);
  const specs: TensorSpec[] = [
    { dtype: 'float32', shape: [dimension('batch'), 4] },
    { dtype: 'int32', shape: [dimension('batch'), 4] },
  ];
  const definitionOf: Loss = (x, y) => {
    const p = tf.sigmoid(x);
    const isLabel = tf.cast(y, 'float32');
    const likelihoods = tf.add(tf.mul(isLabel, p), tf.mul(tf.sub(1, isLabel), tf.sub(1, p)));
    return tf.neg(tf.mean(tf.log(likelihoods)));
  };

  it('has the values and gradients of its definition, eagerly and in a graph', () => {
    const inputs = [sample([3, 4]), labels] as const;
    const staged = stage(specs, (x, y) => {
      const { value, grad } = tf.valueAndGrad((given: Tensor) => tf.mul(meanBinaryCrossEntropy(given, y), 0.7))(x);
      return [value, grad];
    });
    const expected = measure(definitionOf, ...inputs);
    for (const got of [measure(meanBinaryCrossEntropy, ...inputs), staged.run(...inputs)]) {
      got.forEach((tensor, i) => {
        expect(largestDifference(tensor, expected[i]!)).to.be.below(1e-6);
      });
    }
    staged.dispose();
  });

  it('of large logits is their size where they are wrong, and 0 where they are right', () => {
    const sure = floats([3, 4], [90, -90, -90, 90, 90, -90, -90, -90, 90, 90, 90, -90]);
    const [loss, gradient] = measure(meanBinaryCrossEntropy, sure, labels).map(numbersOf);
    expect(loss![0]).to.be.closeTo((0.7 * 180) / 12, 1e-5);
    expect(gradient!.map((value) => Math.round((value / 0.7) * 12))).to.deep.equal([
      0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, -1,
    ]);
  });
});
