import { expect } from 'chai';
import { dimension } from './dimensions.js';
import * as ops from './ops.js';
import { buildProgram, type FunctionSpec, type TensorSpec, type VariableScope } from './program.js';
import { traceFunction, type TensorFunction } from './testing.js';
import { tf, type Tensor } from './tensorflow.js';
import { currentPlace, TraceError } from './trace-error.js';

const matrix: TensorSpec = { dtype: 'float32', shape: [dimension('batch'), 3] };

let line = '';

/** Notes the next line of the caller's code as the place that a message must name. */
function nextLine(): void {
  const frame = (new Error().stack ?? '').split('\n')[2] ?? '';
  const [, file, number] = /([^/\\]+\.ts):(\d+):\d+/.exec(frame) ?? [];
  if (file === undefined) throw new Error(`these tests need --enable-source-maps, the place reads ${frame}`);
  line = `${file}:${Number(number) + 1}:`;
}

function errorOf(action: () => unknown): TraceError {
  try {
    action();
  } catch (error) {
    if (error instanceof TraceError) return error;
    throw error;
  }
  throw new Error('no error was thrown');
}

/** `build` must fail with a message that begins with the op, holds `text`, and ends with the noted line. */
function expectError(build: (x: Tensor, batch: number) => Tensor, op: string, text: string): void {
  const f: TensorFunction = (x) => [build(x, x.shape[0])];
  expectMessage(errorOf(() => traceFunction([matrix], f)).message, op, text);
}

function expectMessage(message: string, op: string, text: string): void {
  expect(message.startsWith(`${op}: `), message).to.be.true;
  expect(message).to.include(text);
  const place = message.split('\n    at ')[1];
  expect(place, message).to.include(line);
}

describe('a size that leaks into the graph is an error with op and place:', () => {
  it('its square root as a number', () => {
    expectError(
      (x, batch) => {
        nextLine();
        return tf.mul(x, Math.sqrt(batch));
      },
      'Mul',
      'the size of batch leaks into function f',
    );
  });

  it('its cube as a shape', () => {
    expectError(
      (x, batch) => {
        const cube = batch * batch * batch;
        nextLine();
        return tf.mean(tf.tile(tf.slice(x, [0, 0], [1, 3]), [cube, 1]));
      },
      'Tile',
      'leaks',
    );
  });

  it('a fraction beside it', () => {
    expectError(
      (x, batch) => {
        nextLine();
        return tf.mul(x, batch - 0.5);
      },
      'Mul',
      'leaks',
    );
  });

  it('a number near the inverse of it', () => {
    expectError(
      (x, batch) => {
        nextLine();
        return tf.mul(x, 1 / (batch + 0.25));
      },
      'Mul',
      'leaks',
    );
  });

  it('a branch of the JavaScript on it, with other ops', () => {
    expectError(
      (x, batch) => {
        nextLine();
        return batch > 10 ? tf.sin(x) : tf.cos(x);
      },
      'Cos',
      'the ops asked for depend on the size',
    );
  });

  it('a branch of the JavaScript on it, with more ops', () => {
    const error = errorOf(() => traceFunction([matrix], (x) => [x.shape[0] > 10 ? tf.sin(tf.sin(x)) : tf.sin(x)]));
    expect(error.message).to.include('the number of ops depends on the size of a symbolic dimension');
  });

  it('a branch of the JavaScript on it, between results', () => {
    const error = errorOf(() =>
      traceFunction([matrix], (x) => {
        const [sin, cos] = [tf.sin(x), tf.cos(x)];
        return [x.shape[0] > 10 ? sin : cos];
      }),
    );
    expect(error.message).to.include('output out0 is another tensor at other sizes');
  });

  it('a branch of the JavaScript on it, between attributes', () => {
    expectError(
      (x, batch) => {
        nextLine();
        return tf.leakyRelu(x, batch > 10 ? 0.1 : 0.2);
      },
      'LeakyRelu',
      'depend on the size',
    );
  });

  it('a constant of its shape that holds different values', () => {
    expectError(
      (x, batch) => {
        const weights = tf.tensor1d(Array.from({ length: batch }, (_, i) => i * i));
        nextLine();
        return tf.mul(tf.expandDims(weights, 1), x);
      },
      'ExpandDims',
      'a constant whose shape is symbolic must hold one value, or count from 0',
    );
  });

  it('a constant whose rank depends on it', () => {
    expectError(
      (x, batch) => {
        const ones = tf.ones(batch > 10 ? [1, 3] : [3]);
        nextLine();
        return tf.mul(x, ones);
      },
      'Mul',
      'the dtype or the rank of a constant differs',
    );
  });
});

describe('what cannot be traced is an error with op and place:', () => {
  it('an op without a shape rule', () => {
    expectError(
      (x) => {
        nextLine();
        return tf.atan(x);
      },
      'Atan',
      'this TensorFlow op has no shape rule',
    );
  });

  it('a tensor of another backend', () => {
    const outside = tf.tensor1d([1, 2, 3]);
    try {
      expectError(
        (x) => {
          nextLine();
          return tf.mul(x, outside);
        },
        'Mul',
        'a tensor of another backend is used in a traced function',
      );
    } finally {
      outside.dispose();
    }
  });

  it('a tensor of another backend in an op that takes a list', () => {
    const outside = tf.tensor1d([1, 2, 3]);
    try {
      expectError(
        () => {
          nextLine();
          return ops.addN([outside, outside]);
        },
        'AddN',
        'a tensor of another backend',
      );
    } finally {
      outside.dispose();
    }
  });

  it('a value read with dataSync', () => {
    expectError(
      (x) => {
        const sum = tf.sum(x);
        nextLine();
        return tf.mul(x, sum.dataSync()[0]!);
      },
      'Sum',
      'the value of its result is read while the function is traced',
    );
  });

  it('a value read with arraySync', () => {
    expectError(
      (x) => {
        nextLine();
        return tf.tensor(x.arraySync());
      },
      'Placeholder',
      'is read while the function is traced',
    );
  });

  it('a tensor of a finished trace', () => {
    let kept: Tensor | undefined;
    traceFunction([matrix], (x) => [(kept = tf.square(x))]);
    expectError(
      (x) => {
        nextLine();
        return tf.mul(x, kept!);
      },
      'Mul',
      'a tensor that was disposed or belongs to a finished trace is used',
    );
  });

  it('shapes that do not broadcast', () => {
    expectError(
      (x) => {
        const bias = tf.ones([2]);
        nextLine();
        return tf.add(x, bias);
      },
      'Add',
      '[5, 3] and [2] do not broadcast',
    );
  });

  it('matrices that do not fit', () => {
    expectError(
      (x) => {
        const kernel = tf.ones([4, 2]);
        nextLine();
        return ops.matMul(x, kernel);
      },
      'MatMul',
      'inner dimensions differ: [5, 3] times [4, 2]',
    );
  });

  it('a mistake in a gradient written by hand', () => {
    expectError(
      (x) =>
        tf.grad((given) =>
          ops.differentiable(
            [given],
            () => tf.square(given),
            (dy) => {
              nextLine();
              return [ops.matMul(dy, dy)];
            },
          ),
        )(x),
      'MatMul',
      'inner dimensions differ',
    );
  });
});

describe('variables used wrongly are an error with a place:', () => {
  const errorWith = (build: (variables: VariableScope) => Tensor): TraceError => {
    const f: FunctionSpec = { inputs: {}, build: (_inputs, variables) => ({ y: build(variables) }) };
    return errorOf(() => buildProgram({ variables: [{ name: 'w', shape: [2], dtype: 'float32' }], functions: { f } }));
  };

  it('a value of another shape assigned', () => {
    const { message } = errorWith((variables) => {
      const value = tf.ones([3]);
      nextLine();
      variables.assign('w', value);
      return value;
    });
    expectMessage(message, 'AssignVariableOp', 'w is float32 [2], got float32 [3]');
  });

  it('a name the program does not have', () => {
    const { message } = errorWith((variables) => {
      nextLine();
      return variables.read('v');
    });
    expect(message).to.include('the program has no variable v').and.to.include(line);
  });
});

describe('a failed trace', () => {
  it('gives the former backend back, and the next trace works', () => {
    errorOf(() => traceFunction([matrix], (x) => [tf.atan(x)]));
    expect(tf.getBackend()).to.equal('tensorflow');
    expect(traceFunction([matrix], (x) => [tf.sin(x)]).nodes).to.have.length(3);
  });

  it('leaves no tensor behind, also from inside a gradient', () => {
    const before = tf.memory().numTensors;
    errorOf(() => traceFunction([matrix], (x) => [tf.grad((given) => tf.atan(tf.clone(given)))(x)]));
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('inside another trace is refused, naming the place', () => {
    const error = errorOf(() =>
      traceFunction([matrix], (x) => {
        nextLine();
        traceFunction([matrix], (y) => [y]);
        return [x];
      }),
    );
    expect(error.message).to.include('a trace is already running').and.to.include(line);
  });
});

describe('currentPlace', () => {
  it('is the line that calls the engine, past frames of JavaScript itself', () => {
    nextLine();
    const [place] = [0].map(() => currentPlace());
    expect(place).to.include(line);
  });
});
