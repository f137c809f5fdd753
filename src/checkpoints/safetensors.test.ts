import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
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
    'a type that is no float': [fileOf(entry({ dtype: 'I32' }), four), 'tensor a is I32, expected F32, F16 or BF16'],
  };
  for (const [what, [content, message]] of Object.entries(damaged)) {
    it(`refuses ${what}`, () => {
      const got = refusal(content, 'a');
      if (typeof message === 'string') expect(got).to.equal(message);
      else expect(got).to.match(message);
    });
  }
});
