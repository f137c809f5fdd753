import { expect } from 'chai';
import { attr } from './node.js';
import { buildProgram, type FunctionSpec, type Program } from './program.js';
import { openSession, type HostTensor, type Session } from './session.js';
import { floats } from './testing.js';
import { tf } from './tensorflow.js';

const scalar = { dtype: 'float32', shape: [] } as const;
const [w, v] = ['w', 'v'].map((name) => ({ name, ...scalar }));
const one = (value: number): HostTensor => floats([], [value]);

/** Runs the function once with w = 2 and v = 3; returns its outputs, and w and v as they are afterwards. */
function runOnce(build: FunctionSpec['build']): Record<string, number> {
  return withSession(build, (session) => {
    const read = (outputs: Record<string, HostTensor>): [string, number][] =>
      Object.entries(outputs).map(([name, { data }]) => [name, Number(data[0])]);
    session.run('assign/w', { value: one(2) });
    session.run('assign/v', { value: one(3) });
    const outputs = read(session.run('f', { x: one(10) }));
    const after = ['w', 'v'].map((name) => [`${name} after`, read(session.run(`fetch/${name}`, {}))[0]![1]] as const);
    return Object.fromEntries([...outputs, ...after]);
  });
}

function programOf(build: FunctionSpec['build']): Program {
  return buildProgram({
    variables: [w!, v!],
    functions: { f: { inputs: { x: scalar }, build } },
    accessible: ['w', 'v'],
  });
}

function withSession<T>(build: FunctionSpec['build'], use: (session: Session) => T): T {
  const session = openSession(programOf(build));
  try {
    return use(session);
  } finally {
    session.dispose();
  }
}

describe('a variable', () => {
  it('read before an assignment has the old value, read after it the new one', () => {
    const results = runOnce(({ x }, variables) => {
      const before = variables.read('w');
      variables.assign('w', x!);
      return { before, after: variables.read('w') };
    });
    expect(results).to.deep.equal({ before: 2, after: 10, 'w after': 10, 'v after': 3 });
  });

  it('read before an assignment keeps its old value where it is used only later', () => {
    const results = runOnce(({ x }, variables) => {
      const before = variables.read('w');
      variables.assign('w', x!);
      return { sum: tf.add(tf.mul(before, 100), variables.read('w')) };
    });
    expect(results.sum).to.equal(210);
  });

  it('has the last of two assigned values', () => {
    const results = runOnce(({ x }, variables) => {
      variables.assign('w', tf.add(x!, 1));
      variables.assign('w', x!);
      return { y: x! };
    });
    expect(results['w after']).to.equal(10);
  });

  it('is swapped with another by reads and then assignments', () => {
    const results = runOnce(({ x }, variables) => {
      const [a, b] = [variables.read('w'), variables.read('v')];
      variables.assign('w', b);
      variables.assign('v', a);
      return { y: x! };
    });
    expect(results).to.include({ 'w after': 3, 'v after': 2 });
  });

  it('is assigned from its own value, again and again', () => {
    const results = runOnce(({ x }, variables) => {
      for (let i = 0; i < 5; i++) variables.assign('w', tf.mul(variables.read('w'), x!));
      return { y: variables.read('w') };
    });
    expect(results).to.include({ y: 2e5, 'w after': 2e5 });
  });

  it('is updated by a Resource op after the reads before it', () => {
    const results = runOnce(({ x }, variables) => {
      const before = variables.read('w');
      variables.update('AssignAddVariableOp', { dtype: attr.type('float32') }, ['w'], [x!]);
      variables.update('AssignAddVariableOp', { dtype: attr.type('float32') }, ['w'], [x!]);
      return { before, after: variables.read('w') };
    });
    expect(results).to.include({ before: 2, after: 22 });
  });

  it('is updated together with another', () => {
    const results = runOnce(({ x }, variables) => {
      const attrs = { T: attr.type('float32'), use_locking: attr.bool(false), use_nesterov: attr.bool(false) };
      for (let i = 0; i < 2; i++) {
        variables.update('ResourceApplyMomentum', attrs, ['w', 'v'], [x!, tf.scalar(1), tf.scalar(0)]);
      }
      return { y: x! };
    });
    // The accumulator v becomes 0 * v + 1, then w falls by 10 * 1; twice.
    expect(results).to.include({ 'w after': 2 - 20, 'v after': 1 });
  });

  it('is set before any output is given, though no output depends on it', () => {
    const { nodes } = programOf(({ x }, variables) => {
      variables.assign('w', x!);
      return { y: tf.sin(x!), z: x! };
    });
    const assignments = nodes.filter(({ name, op }) => op === 'AssignVariableOp' && name.startsWith('f/'));
    expect(assignments).to.have.length(1);
    for (const output of ['f/output_y', 'f/output_z']) {
      expect(nodes.find(({ name }) => name === output)!.inputs).to.include(`^${assignments[0]!.name}`);
    }
  });

  it('keeps its value from run to run', () => {
    withSession(
      ({ x }, variables) => {
        variables.assign('w', tf.add(variables.read('w'), x!));
        return { w: variables.read('w') };
      },
      (session) => {
        session.run('assign/w', { value: one(0) });
        const values = [1, 2, 3].map((x) => session.run('f', { x: one(x) }).w!.data[0]);
        expect(values).to.deep.equal([1, 3, 6]);
      },
    );
  });
});
