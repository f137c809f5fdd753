import { expect } from 'chai';
import { z } from 'zod';
import { createRandom } from '../../src/data/random.js';
import { dimension, tf, type TensorSpec } from '../../src/graph/index.js';
import { floats, integers, numbersOf, stage } from '../../src/graph/testing.js';
import { crossEntropyLoss, meanBinaryCrossEntropy } from '../../src/models/losses.js';
import { arraySchema, askPython } from './python.js';

const answerSchema = z.array(z.object({ loss: z.number(), gradient: arraySchema }));
type Answer = z.infer<typeof answerSchema>[number];

const random = createRandom(31);
const listOf = <T>(length: number, make: (i: number) => T): T[] => Array.from({ length }, (_, i) => make(i));

interface Case {
  title: string;
  kind: 'cross-entropy' | 'focal' | 'binary';
  /** Numbers that float32 has exactly. */
  logits: number[][];
  labels: number[] | number[][];
  weights: number[] | null;
  smoothing: number;
  gamma: number;
}

function createCase(kind: Case['kind'], settings: Partial<Case>): Case {
  const [rows, classes] = [4 + random(30), 2 + random(12)];
  const logits = listOf(rows, () => listOf(classes, () => (random(4096) - 2048) / 256));
  const weights = settings.weights === null ? null : listOf(classes, () => (1 + random(64)) / 16);
  const labels =
    kind === 'binary'
      ? listOf(rows, () => listOf(classes, () => random(2)))
      : listOf(rows, () => (kind === 'cross-entropy' && random(4) === 0 ? -1 : random(classes)));
  const { smoothing = 0, gamma = 0 } = settings;
  const title = [
    kind,
    weights === null ? 'without weights' : 'with class weights',
    ...(smoothing > 0 ? [`smoothing ${smoothing}`] : []),
    ...(gamma > 0 ? [`gamma ${gamma}`] : []),
  ].join(', ');
  return { title, kind, logits, labels, weights, smoothing, gamma };
}

const cases: Case[] = [
  ...[0, 0.1, 0.5].flatMap((smoothing) => [
    createCase('cross-entropy', { smoothing, weights: null }),
    createCase('cross-entropy', { smoothing }),
  ]),
  ...[0.5, 1, 2, 5].flatMap((gamma) => [createCase('focal', { gamma, weights: null }), createCase('focal', { gamma })]),
  createCase('binary', { weights: null }),
];

/** Loss and gradient in a graph, as training has them. */
function measure({ kind, logits, labels, weights, smoothing, gamma }: Case): { loss: number; gradient: number[] } {
  const classes = logits[0]!.length;
  const batch = dimension('batch');
  const specs: TensorSpec[] = [
    { dtype: 'float32', shape: [batch, classes] },
    { dtype: 'int32', shape: kind === 'binary' ? [batch, classes] : [batch] },
  ];
  const loss =
    kind === 'binary'
      ? meanBinaryCrossEntropy
      : crossEntropyLoss({ classWeights: weights ?? undefined, labelSmoothing: smoothing, focalGamma: gamma });
  const staged = stage(specs, (x, y) => {
    const { value, grad } = tf.valueAndGrad((given: typeof x) => loss(given, y))(x);
    return [value, grad];
  });
  try {
    const size = logits.length;
    const shape = kind === 'binary' ? [size, classes] : [size];
    const [value, gradient] = staged.run(floats([size, classes], logits.flat()), integers(shape, labels.flat()));
    return { loss: numbersOf(value!)[0]!, gradient: numbersOf(gradient!) };
  } finally {
    staged.dispose();
  }
}

describe("losses beside PyTorch's", () => {
  let answers: Answer[];
  before(() => {
    answers = askPython('losses.py', cases, answerSchema);
  });

  cases.forEach((one, i) => {
    it(`${one.title}: loss and gradient are equal`, () => {
      const { loss, gradient } = measure(one);
      const expected = answers[i]!;
      expect(loss).to.be.closeTo(expected.loss, 1e-5);
      expect(gradient).to.have.length(expected.gradient.values.length);
      gradient.forEach((value, entry) => {
        expect(value, `entry ${entry}`).to.be.closeTo(expected.gradient.values[entry]!, 1e-5);
      });
    });
  });
});
