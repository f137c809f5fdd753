import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { dimension } from './dimensions.js';
import { nodeOf } from './node.js';
import * as ops from './ops.js';
import { buildProgram, type FunctionSpec, type Program } from './program.js';
import { TraceError } from './trace-error.js';
import { tf } from './tensorflow.js';

const weight = { name: 'dense/kernel', shape: [3, 2], dtype: 'float32' } as const;
const unused = { name: 'unused', shape: [], dtype: 'float32' } as const;
const matrix = { dtype: 'float32', shape: [dimension('batch'), 3] } as const;

/** One step down the gradient of the mean of the squared products. */
const step: FunctionSpec = {
  inputs: { x: matrix, rate: { dtype: 'float32', shape: [] } },
  build({ x, rate }, variables) {
    const kernel = variables.read('dense/kernel');
    const { value, grad } = tf.valueAndGrad((w) =>
      ops.differentiable(
        [w],
        (save) => {
          const products = ops.matMul(x!, w);
          save([products]);
          return ops.l2Loss(products);
        },
        (dy, [products]) => [ops.matMul(x!, tf.mul(dy, products!), true)],
      ),
    )(kernel);
    variables.assign('dense/kernel', tf.sub(kernel, tf.mul(tf.div(rate!, x!.shape[0]), grad)));
    return { loss: value };
  },
};

const stepProgram = (): Program =>
  buildProgram({
    variables: [weight, unused],
    functions: { step },
    accessible: [weight.name],
    checkpoints: { all: [weight.name] },
  });

const textOf = ({ nodes }: Program): string[] =>
  nodes.map(({ name, op, inputs }) => `${name} = ${op}(${inputs.join(', ')})`);

describe('buildProgram', () => {
  it('turns a small training step into this graph', () => {
    const program = buildProgram({ variables: [weight], functions: { step } });
    expect(textOf(program)).to.deep.equal([
      'step/input_x = Placeholder()',
      'step/input_rate = Placeholder()',
      'dense/kernel = VarHandleOp()',
      'step/ReadVariableOp_3 = ReadVariableOp(dense/kernel)',
      'step/MatMul_4 = MatMul(step/input_x, step/ReadVariableOp_3)',
      'step/L2Loss_5 = L2Loss(step/MatMul_4)',
      'step/Const_6 = Const()',
      'step/Mul_7 = Mul(step/Const_6, step/MatMul_4)',
      'step/MatMul_8 = MatMul(step/input_x, step/Mul_7)',
      'step/Shape_9 = Shape(step/input_x)',
      'step/Const_10 = Const()',
      'step/Const_11 = Const()',
      'step/StridedSlice_13 = StridedSlice(step/Shape_9, step/Const_10, step/Const_11, step/Const_11)',
      'step/Cast_14 = Cast(step/StridedSlice_13)',
      'step/RealDiv_15 = RealDiv(step/input_rate, step/Cast_14)',
      'step/Mul_16 = Mul(step/RealDiv_15, step/MatMul_8)',
      'step/Sub_17 = Sub(step/ReadVariableOp_3, step/Mul_16)',
      'step/AssignVariableOp_18 = AssignVariableOp(dense/kernel, step/Sub_17, ^step/ReadVariableOp_3)',
      'step/output_loss = Identity(step/L2Loss_5, ^step/AssignVariableOp_18)',
    ]);
  });

  it('keeps only nodes that some function needs', () => {
    const { nodes, signatures } = stepProgram();
    const inputs = new Map(nodes.map((node) => [node.name, node.inputs]));
    const ports = Object.values(signatures).flatMap((signature) => [
      ...Object.values(signature.inputs),
      ...Object.values(signature.outputs),
    ]);
    const pending = ports.map((port) => nodeOf(port.tensor));
    const reached = new Set<string>();
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      if (!reached.has(name)) pending.push(...inputs.get(name)!.map(nodeOf));
      reached.add(name);
    }
    expect([...reached].sort()).to.deep.equal([...inputs.keys()].sort());
    expect([...inputs.keys()]).to.not.include('unused');
  });

  it('gives equal programs for equal functions', () => {
    expect(stepProgram()).to.deep.equal(stepProgram());
  });

  it('keeps functions apart whose names and inputs read alike when joined', () => {
    const f = (name: string): FunctionSpec => ({
      inputs: { [name]: { dtype: 'float32', shape: [] } },
      build: (inputs) => ({ y: inputs[name]! }),
    });
    const { nodes, signatures } = buildProgram({ variables: [], functions: { a: f('b_c'), a_b: f('c') } });
    expect(signatures.a!.inputs.b_c!.tensor).to.not.equal(signatures.a_b!.inputs.c!.tensor);
    expect(new Set(nodes.map((node) => node.name)).size).to.equal(4);
  });

  it('refuses two nodes of one name', () => {
    const functions: Record<string, FunctionSpec> = {
      f: { inputs: { x: matrix }, build: ({ x }, variables) => ({ y: tf.add(x!, variables.read('f/input_x')) }) },
    };
    const variables = [{ name: 'f/input_x', shape: [3], dtype: 'float32' as const }];
    expect(() => buildProgram({ variables, functions })).to.throw(TraceError, 'two nodes are named f/input_x');
  });

  it('refuses a function without a result', () => {
    const functions = { f: { inputs: { x: matrix }, build: () => ({}) } };
    expect(() => buildProgram({ variables: [], functions })).to.throw(TraceError, 'function f has no output');
  });

  it('keeps no tensor, however often it runs', () => {
    stepProgram();
    const before = tf.memory();
    for (let i = 0; i < 5; i++) {
      stepProgram();
      buildProgram({
        variables: [],
        functions: {
          f: { inputs: { x: matrix }, build: ({ x }) => ({ y: tf.sin(tf.clone(x!)) }) },
        },
      });
    }
    const { numTensors, numDataBuffers } = tf.memory();
    expect([numTensors, numDataBuffers]).to.deep.equal([before.numTensors, before.numDataBuffers]);
  });
});

describe('the engine', () => {
  it('imports nothing but itself, packages and Node', () => {
    const folder = join('src', 'graph'); // mocha runs in the root of the checkout
    const files = readdirSync(folder).filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'));
    expect(files).to.include('index.ts');
    const sources = files.map((file) => readFileSync(join(folder, file), 'utf8'));
    const imports = sources.flatMap((text) => [...text.matchAll(/(?:from|import|import\(|require\()\s*'([^']+)'/g)]);
    const packages = new Set(imports.map((match) => match[1]!).filter((name) => !/^\.\/[a-z0-9-]+\.js$/.test(name)));
    expect([...packages].sort()).to.deep.equal([
      '@tensorflow/tfjs-node-gpu',
      'node:fs',
      'node:module',
      'node:os',
      'node:path',
      'node:url',
      'node:util',
      'protobufjs',
    ]);
  });
});
