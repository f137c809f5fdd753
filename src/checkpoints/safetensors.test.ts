import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { mutations } from '../../test/support/fuzz.js';
import { UserError } from '../errors.js';
import { bfloat16ToFloat32, float16ToFloat32 } from './half-floats.js';
import { openSafetensors, writeSafetensors } from './safetensors.js';

/** A file with any header. */
function fileOf(header: unknown, data: Uint8Array = new Uint8Array()): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, data]);
}

const bytesOf = (values: Float32Array | Float64Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

describe('safetensors', () => {
  let folder: string;
  let path: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-safetensors-'));
    path = join(folder, 'model.safetensors');
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  function refusal(content: Buffer, read?: string): string {
    writeFileSync(path, content);
    try {
      const file = openSafetensors(path);
      try {
        if (read !== undefined) file.tensors.get(read)?.read();
      } finally {
        file.close();
      }
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      expect(error.kind).to.equal('files');
      return error.message.replace(`${path}: `, '');
    }
    throw new Error('nothing was refused');
  }

  it('reads back what it writes: names, shapes, values, a scalar and an empty tensor', () => {
    const values = Float32Array.of(1.5, -0, 1e-45, 3.4e38, NaN, -Infinity);
    const tensors = [
      { name: 'a.weight', shape: [2, 3], values: () => values },
      { name: 'ü', shape: [], values: () => Float32Array.of(7) },
      { name: 'none', shape: [0, 4], values: () => new Float32Array() },
    ];
    writeSafetensors(path, tensors);
    const file = openSafetensors(path);
    expect([...file.tensors.values()].map(({ name, shape, dtype }) => [name, shape, dtype])).to.deep.equal(
      tensors.map(({ name, shape }) => [name, shape, 'F32']),
    );
    for (const { name, values: written } of tensors) {
      expect(file.tensors.get(name)?.read()).to.deep.equal(written());
    }
    file.close();
  });

  it('aligns the tensors to 8 bytes and says that they are PyTorch tensors', () => {
    for (const name of ['a', 'ab', 'abc', 'abcd']) {
      writeSafetensors(path, [{ name, shape: [1], values: () => Float32Array.of(1) }]);
      const bytes = readFileSync(path);
      expect(Number(bytes.readBigUInt64LE()) % 8).to.equal(0);
      expect(bytes.toString('latin1')).to.contain('{"__metadata__":{"format":"pt"}');
    }
  });

  it('leaves neither a file nor a part of one where writing fails', () => {
    const target = join(folder, 'failed', 'model.safetensors');
    const wrong = { name: 'a', shape: [2], values: () => Float32Array.of(1) };
    expect(() => {
      writeSafetensors(target, [wrong]);
    }).to.throw('ENOENT');
    const beside = readdirSync(folder).sort();
    expect(() => {
      writeSafetensors(join(folder, 'other.safetensors'), [wrong]);
    }).to.throw(RangeError, 'a: 1 values for the shape [2]');
    expect(readdirSync(folder).sort()).to.deep.equal(beside);
  });

  it('reads half precision: normal and subnormal numbers, both zeros, infinities, NaN', () => {
    // Bits and values of IEEE 754 binary16: 1, -2, largest, smallest normal, largest and smallest subnormal.
    const bits = [0x3c00, 0xc000, 0x7bff, 0x0400, 0x03ff, 0x0001, 0x8001, 0x0000, 0x8000, 0x7c00, 0xfc00, 0x7e00];
    const values = [1, -2, 65504, 2 ** -14, 1023 * 2 ** -24, 2 ** -24, -(2 ** -24), 0, -0, Infinity, -Infinity, NaN];
    expect([...float16ToFloat32(Uint16Array.from(bits))]).to.deep.equal(values);
    writeFileSync(
      path,
      fileOf(
        { h: { dtype: 'F16', shape: [12], data_offsets: [0, 24] } },
        new Uint8Array(Uint16Array.from(bits).buffer),
      ),
    );
    const file = openSafetensors(path);
    expect([...file.tensors.get('h')!.read()]).to.deep.equal(values);
    file.close();
  });

  it('reads bfloat16: the upper half of a float32, subnormal numbers included', () => {
    const bits = [0x3f80, 0xc000, 0x7f7f, 0x0001, 0x8000, 0x7f80, 0xff80, 0x7fc0];
    const values = [1, -2, (2 - 2 ** -7) * 2 ** 127, 2 ** -133, -0, Infinity, -Infinity, NaN];
    expect([...bfloat16ToFloat32(Uint16Array.from(bits))]).to.deep.equal(values);
    const entry = { dtype: 'BF16', shape: [2, 4], data_offsets: [0, 16] };
    writeFileSync(path, fileOf({ b: entry }, new Uint8Array(Uint16Array.from(bits).buffer)));
    const file = openSafetensors(path);
    expect([...file.tensors.get('b')!.read()]).to.deep.equal(values);
    file.close();
  });

  it('reads float64, rounded to the nearest float32, wherever the tensor begins', () => {
    const values = [0.1, -1e-310, 1e300, NaN, -0];
    const header = {
      odd: { dtype: 'U8', shape: [3], data_offsets: [0, 3] },
      d: { dtype: 'F64', shape: [5], data_offsets: [3, 43] },
      f: { dtype: 'F32', shape: [2], data_offsets: [43, 51] },
    };
    const data = [Buffer.from('abc'), ...[Float64Array.from(values), Float32Array.of(1.5, -2.5)].map(bytesOf)];
    writeFileSync(path, fileOf(header, Buffer.concat(data)));
    const file = openSafetensors(path);
    expect([...file.tensors.get('d')!.read()]).to.deep.equal(values.map(Math.fround));
    expect([...file.tensors.get('f')!.read()]).to.deep.equal([1.5, -2.5]);
    file.close();
  });

  it('lists tensors of every other type, and of types that are newer than this program', () => {
    const header = {
      ids: { dtype: 'I64', shape: [1, 2], data_offsets: [0, 16] },
      quarter: { dtype: 'F4', shape: [2], data_offsets: [16, 17] },
      future: { dtype: 'F3', shape: [9], data_offsets: [17, 20] },
    };
    writeFileSync(path, fileOf(header, Buffer.alloc(20)));
    const file = openSafetensors(path);
    const listed = [...file.tensors.values()].map(({ name, dtype, shape }) => [name, dtype, shape]);
    expect(listed).to.deep.equal([
      ['ids', 'I64', [1, 2]],
      ['quarter', 'F4', [2]],
      ['future', 'F3', [9]],
    ]);
    file.close();
  });

  it('may have its tensors in another order than its header', () => {
    const header = {
      b: { dtype: 'F32', shape: [1], data_offsets: [4, 8] },
      none: { dtype: 'F32', shape: [0], data_offsets: [4, 4] },
      a: { dtype: 'F32', shape: [1], data_offsets: [0, 4] },
    };
    writeFileSync(path, fileOf(header, bytesOf(Float32Array.of(1, 2))));
    const file = openSafetensors(path);
    expect([...file.tensors.values()].map((tensor) => [tensor.name, ...tensor.read()])).to.deep.equal([
      ['b', 2],
      ['none'],
      ['a', 1],
    ]);
    file.close();
  });

  it('refuses to write two tensors of one name', () => {
    const tensor = { name: 'a', shape: [1], values: () => Float32Array.of(1) };
    for (const tensors of [[tensor, tensor], [{ ...tensor, name: '__metadata__' }]]) {
      expect(() => {
        writeSafetensors(join(folder, 'twice.safetensors'), tensors);
      }).to.throw(RangeError, 'two tensors are named');
    }
    expect(readdirSync(folder)).not.to.include('twice.safetensors');
  });

  it('refuses a file that is not there, and a folder', () => {
    expect(() => openSafetensors(join(folder, 'absent'))).to.throw(UserError, 'absent does not exist');
    expect(() => openSafetensors(folder)).to.throw(UserError, `${folder} is not a regular file`);
  });

  const four = new Uint8Array(4);
  const entry = (changes: object) => ({ a: { dtype: 'F32', shape: [1], data_offsets: [0, 4], ...changes } });
  const damaged: Readonly<Record<string, [content: Buffer, message: string | RegExp]>> = {
    'an empty file': [Buffer.alloc(0), '0 bytes, too short for safetensors'],
    'a file of 7 bytes': [Buffer.alloc(7), '7 bytes, too short for safetensors'],
    'a header longer than the file': [fileOf(entry({}), four).subarray(0, 30), /^a header of \d+ bytes does not fit/],
    'a header of absurd length': [Buffer.alloc(64, 0xff), /does not fit into 64$/],
    'a header that is not JSON': [fileOf('{"a":'), 'the header is not JSON'],
    'a header that is no object': [fileOf('7'), 'the header is not a JSON object'],
    'an entry without a shape': [fileOf(entry({ shape: undefined }), four), /^the header's entry a: [^]*shape/],
    'a negative size': [fileOf(entry({ shape: [-1] }), four), /^the header's entry a: /],
    'offsets beyond the file': [
      fileOf(entry({ data_offsets: [0, 8] }), four),
      /^tensor a ends at byte \d+, the file at/,
    ],
    'offsets the wrong way round': [fileOf(entry({ data_offsets: [4, 0] }), four), /^tensor a ends at byte/],
    'fewer bytes than the shape needs': [fileOf(entry({ shape: [2] }), four), 'tensor a [2] of F32 has 4 bytes'],
    'a type that is no float': [
      fileOf(entry({ dtype: 'I32' }), four),
      'tensor a is I32, expected one of F16, BF16, F32, F64',
    ],
    'a header of 2^60 bytes': [
      Buffer.concat([Buffer.of(0, 0, 0, 0, 0, 0, 0, 0x10), Buffer.alloc(64)]),
      'a header of 1152921504606847000 bytes does not fit into 72',
    ],
    'a header that is a list': [fileOf([entry({}).a], four), 'the header is not a JSON object'],
    'a tensor of 2^60 values': [
      fileOf(entry({ shape: [2 ** 30, 2 ** 30] }), four),
      'tensor a [1073741824, 1073741824] of F32 has more than 2^53 values',
    ],
    'a tensor whose number of values would be rounded': [
      fileOf(entry({ dtype: 'U8', shape: [3, 3002399751580331], data_offsets: [0, 4] }), four),
      'tensor a [3, 3002399751580331] of U8 has more than 2^53 values',
    ],
    'a size beyond 2^53': [fileOf(entry({ shape: [2 ** 60] }), four), /^the header's entry a: shape\.0: /],
    'a fractional size': [fileOf(entry({ shape: [0.5] }), four), /^the header's entry a: shape\.0: /],
    'an offset beyond 2^53': [
      fileOf(entry({ data_offsets: [0, 2 ** 60] }), four),
      /^the header's entry a: data_offsets\.1: /,
    ],
    'an offset of 2^50': [
      fileOf(entry({ shape: [2 ** 48], data_offsets: [0, 2 ** 50] }), four),
      /^tensor a ends at byte 11258999068427\d\d, the file at \d+$/,
    ],
    '65 dimensions': [fileOf(entry({ shape: Array<number>(65).fill(1) }), four), /^the header's entry a: shape: /],
    'three offsets': [fileOf(entry({ data_offsets: [0, 4, 4] }), four), /^the header's entry a: data_offsets: /],
    'half a byte': [
      fileOf(entry({ dtype: 'F4', shape: [7], data_offsets: [0, 4] }), four),
      'tensor a [7] of F4 has 4 bytes',
    ],
    'bytes that no tensor has': [
      fileOf(entry({}), new Uint8Array(5)),
      /^the last tensor ends at byte \d+, the file at \d+$/,
    ],
    'bytes before the first tensor': [
      fileOf(entry({ data_offsets: [4, 8] }), new Uint8Array(8)),
      /^tensor a does not follow the one before: it begins at byte \d+, what is before it ends at \d+$/,
    ],
    'two tensors with the same bytes': [
      fileOf({ ...entry({}), b: entry({}).a }, four),
      /^tensor b does not follow the one before: /,
    ],
    'tensors that overlap': [
      fileOf(
        { ...entry({ shape: [2], data_offsets: [0, 8] }), b: { ...entry({}).a, data_offsets: [4, 8] } },
        new Uint8Array(8),
      ),
      /^tensor b does not follow the one before: /,
    ],
    'two entries of one name': [
      fileOf(`{"a":${JSON.stringify(entry({}).a)}, "b,{\\"a\\":":{}, "\\u0061" :${JSON.stringify(entry({}).a)}}`, four),
      'the header has two entries a',
    ],
    'a name that a terminal would obey': [
      fileOf({ 'a\u001b[2J': { ...entry({}).a, data_offsets: [4, 8] } }, four),
      /^tensor a\\x1b\[2J ends at byte /,
    ],
  };
  for (const [what, [content, message]] of Object.entries(damaged)) {
    it(`refuses ${what}`, () => {
      const got = refusal(content, 'a');
      if (typeof message === 'string') expect(got).to.equal(message);
      else expect(got).to.match(message);
    });
  }

  it('with any damage is refused, or gives tensors of the claimed shapes', () => {
    const floats = Float32Array.from({ length: 6 }, (_, i) => i);
    writeSafetensors(path, [
      { name: 'bert.embeddings', shape: [2, 3], values: () => floats },
      { name: 'bert.bias', shape: [2], values: () => floats.subarray(0, 2) },
    ]);
    const types = fileOf(
      {
        h: { dtype: 'F16', shape: [3, 1], data_offsets: [0, 6] },
        b: { dtype: 'BF16', shape: [1], data_offsets: [6, 8] },
        d: { dtype: 'F64', shape: [], data_offsets: [8, 16] },
        i: { dtype: 'I32', shape: [0], data_offsets: [16, 16] },
      },
      bytesOf(floats.subarray(0, 4)),
    );
    let [read, refused] = [0, 0];
    [readFileSync(path), types].forEach((source, seed) => {
      for (const bytes of mutations(source, 500, seed)) {
        writeFileSync(path, bytes);
        try {
          const file = openSafetensors(path);
          try {
            for (const tensor of file.tensors.values()) {
              expect(tensor.read()).to.have.length(tensor.shape.reduce((count: number, size) => count * size, 1));
              read++;
            }
          } finally {
            file.close();
          }
        } catch (error) {
          if (!(error instanceof UserError) || error.kind !== 'files') throw error;
          expect(error.message).to.contain(path);
          refused++;
        }
      }
    });
    expect(Math.min(read, refused)).to.be.above(100);
  });
});
