import { expect } from 'chai';
import { castAttrs } from './casts.js';
import { biasGrad, hasFusedOps, multiplies } from './fused-ops.js';
import { attr, type Attrs, type GraphNode } from './node.js';
import { biasAdd, matMul } from './ops.js';
import { useOwnProducts } from './own-products.js';
import { floats, numbersOf, sample, stage } from './testing.js';
import type { Precision } from './program.js';
import type { HostTensor } from './session.js';
import { tf, type Tensor } from './tensorflow.js';

/** Rows, depth and columns: whole tiles of 8 times 48 and what is left of them, several blocks along the depth, threads. */
const sizes = [
  [1, 1, 1],
  [2, 3, 5],
  [7, 48, 47],
  [8, 16, 48],
  [9, 17, 49],
  [12, 33, 65],
  [31, 40, 81],
  [65, 2500, 130],
  [300, 64, 400],
  [130, 3000, 23],
] as const;

/** To the nearest of bfloat16's numbers, ties to even, as float32's bits have it. */
function toBfloat16(x: number): number {
  const floats = Float32Array.of(x);
  const bits = new Uint32Array(floats.buffer);
  bits[0] = ((bits[0]! + 0x7fff + ((bits[0]! >>> 16) & 1)) & 0xffff0000) >>> 0;
  return floats[0]!;
}

/** In float64. */
function reference(
  a: HostTensor,
  b: HostTensor,
  bias: HostTensor,
  [transposeA, transposeB]: readonly [boolean, boolean],
  round: (x: number) => number,
): number[] {
  const [left, right, added] = [numbersOf(a).map(round), numbersOf(b).map(round), numbersOf(bias)];
  const [rows, depth] = transposeA ? [a.shape[1]!, a.shape[0]!] : [a.shape[0]!, a.shape[1]!];
  const columns = b.shape[transposeB ? 0 : 1]!;
  return Array.from({ length: rows * columns }, (_, i) => {
    const [m, n] = [Math.floor(i / columns), i % columns];
    let sum = added[n]!;
    for (let k = 0; k < depth; k++) {
      sum += left[transposeA ? k * rows + m : m * depth + k]! * right[transposeB ? n * depth + k : k * columns + n]!;
    }
    return sum;
  });
}

const identity = (size: number): number[] =>
  Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0));

const opsOf = (nodes: readonly GraphNode[]): string[] =>
  nodes.map(({ op }) => op).filter((op) => /MatMul|Bias/.test(op));

describe('a product of matrices', () => {
  for (const [precision, has] of [
    ['fp32', multiplies.float32],
    ['bf16', multiplies.bfloat16],
  ] as const satisfies [Precision, boolean][]) {
    for (const transposed of [
      [false, false],
      [false, true],
      [true, false],
      [true, true],
    ] as const) {
      for (const [rows, depth, columns] of sizes) {
        const how = `${transposed[0] ? 'transposed ' : ''}times ${transposed[1] ? 'transposed ' : ''}`;
        it(`[${rows}, ${depth}] ${how}[${depth}, ${columns}] and a bias, ${precision}`, () => {
          const a = sample(transposed[0] ? [depth, rows] : [rows, depth], 1);
          const b = sample(transposed[1] ? [columns, depth] : [depth, columns], 2);
          const bias = sample([columns], 3);
          const specs = [a, b, bias].map(({ shape }) => ({ dtype: 'float32' as const, shape }));
          const staged = stage(specs, (x, y, z) => [biasAdd(matMul(x, y, ...transposed), z)], {
            fused: hasFusedOps,
            precision,
          });
          try {
            // What is returned is float32: the bias is added after the cast.
            const sum = has && precision === 'fp32' ? [] : ['BiasAdd'];
            expect(opsOf(staged.program.nodes)).to.deep.equal([has ? 'T4MatMul' : 'MatMul', ...sum]);
            const got = numbersOf(staged.run(a, b, bias)[0]!);
            const expected = reference(a, b, bias, transposed, precision === 'bf16' ? toBfloat16 : (x) => x);
            const most = Math.max(...expected.map(Math.abs));
            expect(got.length).to.equal(expected.length);
            const added = numbersOf(bias);
            got.forEach((value, i) => {
              const product = Math.abs(expected[i]! - added[i % columns]!);
              const rounding = precision === 'bf16' ? product / 2 ** 8 : 0;
              expect(Math.abs(value - expected[i]!), String(i)).to.be.at.most(rounding + 2e-6 * most);
            });
          } finally {
            staged.dispose();
          }
        });
      }
    }

    for (const [rows, depth, columns] of hasFusedOps ? sizes : []) {
      it(`[${rows}, ${depth}] times [${depth}, ${columns}] and the sums of the columns, ${precision}`, () => {
        const [a, b] = [sample([depth, rows], 1), sample([columns, depth], 2)];
        const same = floats([columns, columns], identity(columns));
        const specs = [a, b, same].map(({ shape }) => ({ dtype: 'float32' as const, shape }));
        const build = (isSummed: boolean) => (x: Tensor, y: Tensor, one: Tensor) => {
          // Values between products are of the products' type.
          const right = tf.transpose(matMul(one, y));
          return [matMul(x, right, true), ...(isSummed ? [biasGrad(right)] : [])];
        };
        const [staged, plain] = [true, false].map((isSummed) =>
          stage(specs, build(isSummed), { fused: true, precision }),
        );
        try {
          const ops = has ? ['T4MatMul', 'T4MatMulSums'] : ['MatMul', 'MatMul', 'T4BiasGrad'];
          expect(opsOf(staged!.program.nodes)).to.have.members(ops);
          const [product, sums] = staged!.run(a, b, same).map(numbersOf);
          expect(product).to.deep.equal(numbersOf(plain!.run(a, b, same)[0]!));
          const values = numbersOf(b).map(precision === 'bf16' ? toBfloat16 : (x) => x);
          const expected = Array.from({ length: columns }, (_, n) =>
            values.slice(n * depth, (n + 1) * depth).reduce((sum, x) => sum + x, 0),
          );
          sums!.forEach((value, n) => {
            expect(Math.abs(value - expected[n]!), String(n)).to.be.at.most(1e-6 * depth);
          });
        } finally {
          staged!.dispose();
          plain!.dispose();
        }
      });
    }

    it(`of a matrix with itself, ${precision}`, () => {
      const x = sample([37, 50], 1);
      const staged = stage([{ dtype: 'float32', shape: x.shape }], (given) => [matMul(given, given, true)], {
        fused: hasFusedOps,
        precision,
      });
      try {
        const got = numbersOf(staged.run(x)[0]!);
        const zeros = { shape: [50], data: new Float32Array(50) };
        const expected = reference(x, x, zeros, [true, false], precision === 'bf16' ? toBfloat16 : (value) => value);
        const most = Math.max(...expected);
        got.forEach((value, i) => {
          const rounding = precision === 'bf16' ? Math.abs(expected[i]!) / 2 ** 8 : 0;
          expect(Math.abs(value - expected[i]!), String(i)).to.be.at.most(rounding + 2e-6 * most);
        });
      } finally {
        staged.dispose();
      }
    });
  }

  it('is the same to the bit for a row of a large batch, whatever the other rows are', () => {
    const [a, b] = [sample([200, 300], 1), sample([300, 96], 2)];
    const staged = stage(
      [
        { dtype: 'float32', shape: [{ symbol: 'N' }, 300] },
        { dtype: 'float32', shape: b.shape },
      ],
      (x, y) => [matMul(x, y)],
      { fused: hasFusedOps },
    );
    try {
      const all = numbersOf(staged.run(a, b)[0]!);
      const part = { shape: [100, 300], data: (a.data as Float32Array).slice(77 * 300, 177 * 300) };
      if (multiplies.float32) {
        expect(numbersOf(staged.run(part, b)[0]!)).to.deep.equal(all.slice(77 * 96, 177 * 96));
      }
    } finally {
      staged.dispose();
    }
  });
});

describe('the pass that makes the products', () => {
  const types = { float32: true, bfloat16: true };
  const [float32, bfloat16] = [attr.type('float32'), attr.type('bfloat16')];
  const node = (name: string, op: string, inputs: readonly string[], attrs: Attrs = {}): GraphNode => ({
    name,
    op,
    inputs,
    attrs,
  });
  const product = (name: string, inputs: readonly string[], T = float32): GraphNode =>
    node(name, 'MatMul', inputs, { T, transpose_a: attr.bool(false), transpose_b: attr.bool(true) });
  const own = (name: string, inputs: readonly string[], biases: number, T = float32, Tb = T): GraphNode =>
    node(name, 'T4MatMul', inputs, {
      T,
      Tb,
      transpose_a: attr.bool(false),
      transpose_b: attr.bool(true),
      biases: attr.int(biases),
    });
  const sum = (inputs: readonly string[]): GraphNode => node('sum', 'BiasAdd', inputs, { T: float32 });
  const cast = (name: string, input: string): GraphNode =>
    node(name, 'Cast', [input], castAttrs('float32', 'bfloat16'));

  it('takes the bias in, and what waits for the product waits for the sum', () => {
    const waiting = (input: string): GraphNode => node('w', 'NoOp', [input]);
    expect(
      useOwnProducts([product('p', ['a', 'b', '^c']), sum(['p', 'bias']), waiting('^p')], ['sum'], types),
    ).to.deep.equal([own('sum', ['a', 'b', 'bias', '^c'], 1), waiting('^sum')]);
  });

  it('leaves the sum where the product is needed without the bias', () => {
    const other = node('other', 'Neg', ['p']);
    for (const [more, fetched] of [
      [[other], ['sum']],
      [[], ['sum', 'p']],
    ] as const) {
      const nodes = [product('p', ['a', 'b']), sum(['p', 'bias']), ...more];
      expect(useOwnProducts(nodes, fetched, types)).to.deep.equal([own('p', ['a', 'b'], 0), ...nodes.slice(1)]);
    }
  });

  it('casts a right factor itself, and adds the bias in float32', () => {
    const nodes = [
      cast('w', 'weight'),
      cast('z', 'bias'),
      product('p', ['a', 'w'], bfloat16),
      product('q', ['c', 'w'], bfloat16),
      sum(['p', 'z']),
    ];
    expect(useOwnProducts(nodes, ['sum', 'q'], types)).to.deep.equal([
      cast('z', 'bias'),
      own('q', ['c', 'weight'], 0, bfloat16, float32),
      own('sum', ['a', 'weight', 'bias'], 1, bfloat16, float32),
    ]);
  });

  it('keeps the cast that is a left factor, too', () => {
    const nodes = [cast('x', 'given'), product('p', ['x', 'x'], bfloat16)];
    expect(useOwnProducts(nodes, ['p'], types)).to.deep.equal([nodes[0], own('p', ['x', 'x'], 0, bfloat16)]);
  });

  const sumOf = (inputs: readonly string[]): GraphNode => node('sums', 'T4BiasGrad', inputs, { T: float32 });
  const straight = { T: float32, transpose_a: attr.bool(true), transpose_b: attr.bool(false) };
  const withSums = (name: string, inputs: readonly string[]): GraphNode => node(name, 'T4MatMulSums', inputs, straight);

  it('sums the rows of a right factor with the first product that reads it as it is', () => {
    const nodes = [
      node('p', 'MatMul', ['a', 'dy'], straight),
      product('q', ['dy', 'w']),
      node('r', 'MatMul', ['b', 'dy'], straight),
      sumOf(['dy']),
      node('reader', 'Neg', ['sums']),
      node('waiting', 'NoOp', ['^sums']),
    ];
    expect(useOwnProducts(nodes, ['p', 'q', 'r', 'reader'], types)).to.deep.equal([
      withSums('p', ['a', 'dy']),
      own('q', ['dy', 'w'], 0),
      node('r', 'T4MatMul', ['b', 'dy'], { ...straight, Tb: float32, biases: attr.int(0) }),
      node('reader', 'Neg', ['p:1']),
      node('waiting', 'NoOp', ['^p']),
    ]);
  });

  it('leaves the sums that are returned, that wait for something, or are of a factor that lies across', () => {
    const first = node('p', 'MatMul', ['a', 'dy'], straight);
    const second = node('p', 'T4MatMul', ['a', 'dy'], { ...straight, Tb: float32, biases: attr.int(0) });
    for (const [sums, fetched] of [
      [sumOf(['dy']), ['p', 'sums']],
      [sumOf(['dy', '^w']), ['p']],
    ] as const) {
      expect(useOwnProducts([first, sums], fetched, types)).to.deep.equal([second, sums]);
    }
    const nodes = [product('p', ['a', 'dy']), sumOf(['dy'])];
    expect(useOwnProducts(nodes, ['p'], types)).to.deep.equal([own('p', ['a', 'dy'], 0), nodes[1]]);
  });

  it('changes nothing where the processor does not multiply such numbers faster', () => {
    const nodes = [product('p', ['a', 'b']), product('q', ['a', 'b'], bfloat16)];
    expect(useOwnProducts(nodes, ['p', 'q'], { float32: false, bfloat16: false })).to.deep.equal(nodes);
    expect(useOwnProducts(nodes, ['p', 'q'], { float32: true, bfloat16: false })).to.deep.equal([
      own('p', ['a', 'b'], 0),
      nodes[1],
    ]);
  });
});
