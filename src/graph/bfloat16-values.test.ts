import { expect } from 'chai';
import { keepBfloat16Values } from './bfloat16-values.js';
import { attr, type Attrs, type GraphNode } from './node.js';

const [float32, bfloat16] = [attr.type('float32'), attr.type('bfloat16')];

const node = (name: string, op: string, inputs: string[], attrs: Attrs = {}): GraphNode => ({
  name,
  op,
  inputs,
  attrs,
});
const widen = (name: string, input: string): GraphNode =>
  node(name, 'Cast', [input], { SrcT: bfloat16, DstT: float32 });
const narrow = (name: string, input: string): GraphNode =>
  node(name, 'Cast', [input], { SrcT: float32, DstT: bfloat16 });
const productOf = (name: string, inputs: string[]): GraphNode => node(name, 'MatMul', inputs, { T: bfloat16 });

const texts = (nodes: readonly GraphNode[]): string[] =>
  nodes.map(({ name, op, inputs, attrs }) => {
    const types = [attrs.T, attrs.Tout].filter((type) => type === bfloat16).length;
    return `${name}=${op}(${inputs.join()})${'!'.repeat(types)}`;
  });

describe('values between products', () => {
  const before = [node('x', 'Placeholder', []), productOf('p', ['x', 'x']), widen('w', 'p')];

  it('stay bfloat16 where every op of a chain can be computed so', () => {
    const nodes = [
      ...before,
      node('b', 'BiasAdd', ['w', 'bias'], { T: float32 }),
      node('g', 'T4Gelu', ['b']),
      narrow('n', 'g'),
      productOf('q', ['n', 'n']),
    ];
    expect(texts(keepBfloat16Values(nodes, ['q:0']))).to.deep.equal([
      'x=Placeholder()',
      'p=MatMul(x,x)!',
      'w=Cast(p)',
      'b/narrow=Cast(bias)',
      'b=BiasAdd(p,b/narrow)!',
      'g=T4Gelu(b)!',
      'q=MatMul(g,g)!',
    ]);
  });

  it('are float32 where one op of the chain needs that, or they are returned', () => {
    const chain = [...before, node('g', 'T4Gelu', ['w']), narrow('n', 'g'), productOf('q', ['n', 'n'])];
    const exp = node('e', 'Exp', ['g'], { T: float32 });
    expect(texts(keepBfloat16Values([...chain, exp], ['q:0', 'e:0']))).to.deep.equal(texts([...chain, exp]));
    expect(texts(keepBfloat16Values(chain, ['q:0', 'g']))).to.deep.equal(texts(chain));
  });

  it('go into an op that has float32 beside them, and come out of one', () => {
    const nodes = [
      ...before,
      node('l', 'T4AddLayerNorm', ['w', 'residual', 'gamma', 'beta']),
      node('d', 'T4DropoutGrad', ['l', 'kept']),
      narrow('n', 'd'),
      productOf('q', ['n', 'n']),
    ];
    expect(texts(keepBfloat16Values(nodes, ['q:0'])).slice(3)).to.deep.equal([
      'l=T4AddLayerNorm(p,residual,gamma,beta)!',
      'd=T4DropoutGrad(l,kept)!',
      'q=MatMul(d,d)!',
    ]);
  });

  it('are multiplied in bfloat16 by what it holds exactly only', () => {
    const scaled = (factor: number): string[] => {
      const constant = node('c', 'Const', [], { value: attr.tensor('float32', [], Float32Array.of(factor)) });
      const mul = node('m', 'Mul', ['w', 'c'], { T: float32 });
      return texts(
        keepBfloat16Values([...before, constant, mul, narrow('n', 'm'), productOf('q', ['n', 'n'])], ['q:0']),
      );
    };
    expect(scaled(0.125)).to.include('m=Mul(p,m/narrow)!');
    expect(scaled(Math.SQRT1_2)).to.include('m=Mul(w,c)');
  });

  it('are waited for where the cast was', () => {
    const nodes = [...before, node('g', 'T4Gelu', ['w']), narrow('n', 'g'), productOf('q', ['n', 'n', '^w', '^n'])];
    expect(texts(keepBfloat16Values(nodes, ['q:0'])).at(-1)).to.equal('q=MatMul(g,g,^p,^g)!');
  });
});
