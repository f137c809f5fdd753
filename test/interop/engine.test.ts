import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import {
  buildProgram,
  dimension,
  openSession,
  tf,
  writeSavedModel,
  type Program,
  type Session,
} from '../../src/graph/index.js';
import { arraySchema, askPython } from './python.js';

const answerSchema = z.object({
  signatures: z.array(z.string()),
  outputs: z.record(z.string(), arraySchema),
  variables: z.record(z.string(), arraySchema),
});

/** tanh(x · kernel) + offset for x [rows, 3], and the number of rows. */
const exampleProgram = (): Program =>
  buildProgram({
    variables: [
      { name: 'scope/kernel', shape: [3, 5], dtype: 'float32' },
      { name: 'scope/offset', shape: [], dtype: 'float32' },
    ],
    functions: {
      predict: {
        inputs: { x: { dtype: 'float32', shape: [dimension('rows'), 3] } },
        build({ x }, variables) {
          const product = tf.tanh(tf.matMul(x!, variables.read('scope/kernel')));
          return { y: tf.add(product, variables.read('scope/offset')) };
        },
      },
    },
    accessible: ['scope/kernel', 'scope/offset'],
    checkpoints: { weights: ['scope/kernel', 'scope/offset'] },
  });

const x = { shape: [2, 3], data: Float32Array.of(0.5, -1, 2, 0.25, 0, -3) };
const kernel = { shape: [3, 5], data: Float32Array.from({ length: 15 }, (_, i) => Math.sin(i)) };
const offset = { shape: [], data: Float32Array.of(0.125) };

describe("the graph engine's files in Python's TensorFlow", () => {
  let root: string;
  let session: Session;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 't4-engine-'));
  });

  afterEach(() => {
    session.dispose();
    rmSync(root, { recursive: true });
  });

  it('are a SavedModel whose functions give equal outputs, and a checkpoint with equal variables', () => {
    const program = exampleProgram();
    session = openSession(program);
    session.run('assign/scope/kernel', { value: kernel });
    session.run('assign/scope/offset', { value: offset });
    const checkpoint = join(root, 'weights');
    session.run('save/weights', { path: { shape: [], data: [checkpoint] } });
    writeSavedModel(program, join(root, 'model'));

    const answer = askPython(
      'engine.py',
      {
        model: join(root, 'model'),
        checkpoint,
        inputs: { x: { dtype: 'float32', shape: x.shape, values: Array.from(x.data) } },
      },
      answerSchema,
    );

    expect(answer.signatures).to.deep.equal(Object.keys(program.signatures).sort());
    expect(answer.variables).to.deep.equal({
      'scope/kernel': { shape: [3, 5], values: Array.from(kernel.data) },
      'scope/offset': { shape: [], values: [0.125] },
    });
    const { y } = session.run('predict', { x });
    expect(answer.outputs.y!.shape).to.deep.equal([2, 5]);
    answer.outputs.y!.values.forEach((value, i) => {
      expect(Number(y!.data[i])).to.be.closeTo(value, 1e-6);
    });
  });
});
