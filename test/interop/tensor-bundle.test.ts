import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { openTensorBundle, writeTensorBundle } from '../../src/checkpoints/tensor-bundle.js';
import { askPython } from './python.js';

const bitsSchema = z.record(z.string(), z.string());
const answerSchema = z.object({
  listed: z.array(z.tuple([z.string(), z.array(z.number())])),
  loaded: bitsSchema,
  read: bitsSchema,
  restored: bitsSchema,
});

const size = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

/** The float32 bits, so that NaN and -0 count. */
const bits = (values: Float32Array): string =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('hex');

describe("a tensor bundle compared with Python's TensorFlow", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-tensor-bundle-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  function compare(shapes: Readonly<Record<string, readonly number[]>>): void {
    const [ours, theirs] = [join(folder, 'ours'), join(folder, 'theirs')];
    const tensors = Object.entries(shapes).map(([name, shape], index) => ({
      name,
      shape,
      values: () => Float32Array.from({ length: size(shape) }, (_, i) => index + i / 1024),
    }));
    writeTensorBundle(ours, tensors);
    const answer = askPython('tensor_bundle.py', { read: ours, write: theirs, shapes }, answerSchema);
    const expected = Object.fromEntries(tensors.map(({ name, values }) => [name, bits(values())]));
    expect(Object.fromEntries(answer.listed)).to.deep.equal(shapes);
    expect(answer.read).to.deep.equal(expected);
    expect(answer.restored).to.deep.equal(expected);
    expect(Object.keys(answer.loaded)).to.have.length(5);
    for (const [name, value] of Object.entries(answer.loaded)) expect(value, name).to.equal(expected[name]);
    const file = openTensorBundle(theirs);
    expect([...file.tensors.keys()].sort()).to.deep.equal(Object.keys(shapes).sort());
    for (const [name, tensor] of file.tensors) expect(bits(tensor.read()), name).to.equal(expected[name]);
    file.close();
    for (const suffix of ['.index', '.data-00000-of-00001']) {
      expect(readFileSync(ours + suffix).equals(readFileSync(theirs + suffix)), suffix).to.be.true;
    }
  }

  it('with the names of a large BERT: TensorFlow lists, reads and restores the same bits, and writes the same bytes', () => {
    const layer = {
      'attention/self/query/kernel': [8, 8],
      'attention/self/query/bias': [8],
      'attention/self/key/kernel': [8, 8],
      'attention/self/key/bias': [8],
      'attention/self/value/kernel': [8, 8],
      'attention/self/value/bias': [8],
      'attention/output/dense/kernel': [8, 8],
      'attention/output/dense/bias': [8],
      'attention/output/LayerNorm/gamma': [8],
      'attention/output/LayerNorm/beta': [8],
      'intermediate/dense/kernel': [8, 11],
      'intermediate/dense/bias': [11],
      'output/dense/kernel': [11, 8],
      'output/dense/bias': [8],
      'output/LayerNorm/gamma': [8],
      'output/LayerNorm/beta': [8],
    };
    const layers = Array.from({ length: 24 }, (_, n) =>
      Object.entries(layer).map(([name, shape]) => [`bert/encoder/layer_${n}/${name}`, shape] as const),
    );
    compare({
      'bert/embeddings/word_embeddings': [31, 8],
      global_step: [],
      empty: [0, 3],
      'variété/名': [1, 1, 1, 2],
      ...Object.fromEntries(layers.flat()),
    });
  });

  it('with so many names that the index has several blocks', () => {
    // Long names that differ early, since what they share with the one before is not stored.
    const scopes = Array.from({ length: 20 }, (_, i) => `a_long_scope_${i}`).join('/');
    const names = Array.from({ length: 1000 }, (_, i) => `${(i * 7919) % 1000}/${scopes}/kernel_${i}`);
    compare(Object.fromEntries(names.map((name, i) => [name, i % 3 === 0 ? [] : [i % 5]])));
    expect(readFileSync(join(folder, 'ours.index')).length).to.be.above(262_144);
  });
});
