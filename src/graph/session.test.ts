import { expect } from 'chai';
import { dimension } from './dimensions.js';
import { buildProgram } from './program.js';
import { openSession, type HostTensor, type Session } from './session.js';
import { booleans, floats, integers, sample } from './testing.js';
import { tf } from './tensorflow.js';

const [batch, sequence] = [dimension('batch'), dimension('sequence')];

describe('a session', () => {
  let session: Session;

  before(() => {
    session = openSession(
      buildProgram({
        variables: [],
        functions: {
          add: {
            inputs: {
              x: { dtype: 'float32', shape: [batch, sequence, 3] },
              ids: { dtype: 'int32', shape: [batch, sequence] },
            },
            build: ({ x, ids }) => ({ sum: tf.add(x!, tf.expandDims(tf.cast(ids!, 'float32'), -1)) }),
          },
          flip: {
            inputs: { truth: { dtype: 'bool', shape: [2] }, text: { dtype: 'string', shape: [] } },
            build: ({ truth, text }) => ({ truth: tf.logicalNot(truth!), text: text! }),
          },
        },
      }),
    );
  });

  after(() => {
    session.dispose();
  });

  it('takes and gives numbers, booleans and strings', () => {
    const results = session.run('flip', {
      truth: booleans([2], [true, false]),
      text: { shape: [], data: ['gr\u00fcn'] },
    });
    expect([...results.truth!.data]).to.deep.equal([0, 1]);
    expect(results.text!.data).to.deep.equal(['gr\u00fcn']);
  });

  const refusals: [title: string, name: string, inputs: Record<string, HostTensor>, message: string][] = [
    ['an unknown function', 'subtract', {}, 'session: no function subtract, there are add, flip'],
    [
      'missing and unknown inputs',
      'add',
      { x: sample([1, 2, 3]), id: integers([1, 2], [0, 0]) },
      'session: add lacks inputs [ids], does not know [id]',
    ],
    [
      'an input of another rank',
      'add',
      { x: sample([2, 3]), ids: integers([1, 2], [0, 0]) },
      'session: add.x has shape [2, 3], expected [-1, -1, 3]',
    ],
    [
      'a fixed size that differs',
      'add',
      { x: sample([1, 2, 4]), ids: integers([1, 2], [0, 0]) },
      'session: add.x has shape [1, 2, 4], expected [-1, -1, 3]',
    ],
    [
      'inputs that do not agree on a symbolic size',
      'add',
      { x: sample([1, 2, 3]), ids: integers([1, 1], [0]) },
      'session: sequence of add.ids is 1, but of add.x 2',
    ],
    [
      'values of another type',
      'add',
      { x: sample([1, 2, 3]), ids: floats([1, 2], [0, 0]) },
      'session: add.ids is a Float32Array, expected values of dtype int32',
    ],
    [
      'too few values',
      'add',
      { x: sample([1, 2, 3]), ids: integers([1, 2], [0]) },
      'session: add.ids has 1 values, its shape [1, 2] needs 2',
    ],
  ];
  for (const [title, name, inputs, message] of refusals) {
    it(`refuses ${title}, and leaves no tensor behind`, () => {
      const before = tf.memory().numTensors;
      expect(() => session.run(name, inputs)).to.throw(TypeError, message);
      expect(tf.memory().numTensors).to.equal(before);
    });
  }

  it('keeps no tensor of a run', () => {
    const before = { ...tf.memory() };
    for (let i = 1; i < 50; i++)
      session.run('add', { x: sample([i, 2, 3]), ids: integers([i, 2], Array<number>(2 * i).fill(1)) });
    const { numTensors, numDataBuffers, numBytes } = tf.memory();
    expect({ numTensors, numDataBuffers, numBytes }).to.deep.equal({
      numTensors: before.numTensors,
      numDataBuffers: before.numDataBuffers,
      numBytes: before.numBytes,
    });
  });

  it('refuses to run after dispose, which may be called twice', () => {
    const other = openSession(
      buildProgram({ variables: [], functions: { one: { inputs: {}, build: () => ({ one: tf.scalar(1) }) } } }),
    );
    expect(other.run('one', {}).one!.data[0]).to.equal(1);
    other.dispose();
    other.dispose();
    expect(() => other.run('one', {})).to.throw(TypeError, 'session: one is run after dispose()');
  });
});
