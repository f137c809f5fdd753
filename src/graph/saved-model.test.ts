import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { dimension } from './dimensions.js';
import * as ops from './ops.js';
import { buildProgram, type Program } from './program.js';
import { writeSavedModel } from './saved-model.js';
import { loadSession, openSession, type HostTensor } from './session.js';
import { floats, integers, largestDifference, sample } from './testing.js';
import { tf } from './tensorflow.js';

/** scores = x kernel + bias, and a counter of another dtype. */
function programOf(width: number): Program {
  return buildProgram({
    variables: [
      { name: 'dense/kernel', shape: [3, width], dtype: 'float32' },
      { name: 'dense/bias', shape: [width], dtype: 'float32' },
      { name: 'counter', shape: [], dtype: 'int32' },
    ],
    functions: {
      score: {
        inputs: { x: { dtype: 'float32', shape: [dimension('batch'), 3] } },
        build({ x }, variables) {
          const products = ops.matMul(x!, variables.read('dense/kernel'));
          return { scores: tf.add(products, variables.read('dense/bias')) };
        },
      },
    },
    accessible: ['dense/kernel', 'dense/bias', 'counter'],
    checkpoints: { all: ['dense/kernel', 'dense/bias', 'counter'], kernel: ['dense/kernel'] },
  });
}

const values: Record<string, HostTensor> = {
  'dense/kernel': sample([3, 2], 1),
  'dense/bias': sample([2], 2),
  counter: integers([], [7]),
};

describe('a SavedModel', () => {
  let folder: string;
  const text = (name: string): HostTensor => ({ shape: [], data: [join(folder, name)] });

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-saved-model-'));
  });

  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  it('is written whole, and read by TensorFlow.js with its signatures', async () => {
    writeSavedModel(programOf(2), join(folder, 'model'));
    expect(readdirSync(join(folder, 'model'))).to.deep.equal(['saved_model.pb']);
    const [meta] = await tf.node.getMetaGraphsFromSavedModel(join(folder, 'model'));
    expect(meta!.tags).to.deep.equal(['serve']);
    expect(Object.keys(meta!.signatureDefs)).to.include.members([
      'score',
      'save/all',
      'restore/kernel',
      'fetch/counter',
    ]);
    const { inputs, outputs } = meta!.signatureDefs.score!;
    expect(inputs.x).to.deep.include({ dtype: 'float32', tfDtype: 'DT_FLOAT', name: 'score/input_x:0' });
    expect(outputs.scores).to.deep.include({ dtype: 'float32', name: 'score/output_scores:0' });
    expect(JSON.stringify(inputs.x!.shape)).to.match(/\[-1\].*\[3\]/);
  });

  it('answers after loadSession and a restore as it did where it was made', () => {
    const program = programOf(2);
    const x = sample([5, 3], 3);
    const first = openSession(program);
    for (const [name, value] of Object.entries(values)) first.run(`assign/${name}`, { value });
    const expected = first.run('score', { x }).scores!;
    first.run('save/all', { path: text('variables') });
    first.dispose();
    writeSavedModel(program, join(folder, 'model'));
    const second = loadSession(join(folder, 'model'), program.signatures);
    second.run('restore/all', { path: text('variables') });
    expect(largestDifference(second.run('score', { x }).scores!, expected)).to.equal(0);
    second.dispose();
  });

  it('gives back every variable of a checkpoint, bit for bit', () => {
    const program = programOf(2);
    const first = openSession(program);
    for (const [name, value] of Object.entries(values)) first.run(`assign/${name}`, { value });
    expect(first.run('save/all', { path: text('all') }).path!.data).to.deep.equal([join(folder, 'all')]);
    first.dispose();
    expect(existsSync(join(folder, 'all.index'))).to.be.true;
    const second = openSession(program);
    second.run('restore/all', { path: text('all') });
    for (const [name, value] of Object.entries(values)) {
      expect(largestDifference(second.run(`fetch/${name}`, {}).value!, value), name).to.equal(0);
    }
    second.dispose();
  });

  it('restores a group from a checkpoint of more variables, and leaves the others', () => {
    const session = openSession(programOf(2));
    for (const [name, value] of Object.entries(values)) session.run(`assign/${name}`, { value });
    session.run('save/all', { path: text('all') });
    session.run('assign/dense/kernel', { value: sample([3, 2], 9) });
    session.run('assign/dense/bias', { value: floats([2], [0, 0]) });
    session.run('restore/kernel', { path: text('all') });
    expect(largestDifference(session.run('fetch/dense/kernel', {}).value!, values['dense/kernel']!)).to.equal(0);
    expect([...session.run('fetch/dense/bias', {}).value!.data]).to.deep.equal([0, 0]);
    session.dispose();
  });

  it('refuses a checkpoint whose shapes are others, naming the variable', () => {
    const [narrow, wide] = [openSession(programOf(2)), openSession(programOf(4))];
    for (const [name, value] of Object.entries(values)) narrow.run(`assign/${name}`, { value });
    narrow.run('save/kernel', { path: text('kernel') });
    expect(() => wide.run('restore/kernel', { path: text('kernel') })).to.throw(
      /\[3,2\] is not compatible .* \[3,4\].*dense\/kernel/s,
    );
    narrow.dispose();
    wide.dispose();
  });

  it('refuses a checkpoint that lacks a variable, naming it', () => {
    const session = openSession(programOf(2));
    for (const [name, value] of Object.entries(values)) session.run(`assign/${name}`, { value });
    session.run('save/kernel', { path: text('kernel') });
    expect(() => session.run('restore/all', { path: text('kernel') })).to.throw(
      'Key dense/bias not found in checkpoint',
    );
    session.dispose();
  });
});
