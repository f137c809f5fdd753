import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { mutations } from '../../test/support/fuzz.js';
import {
  latin1,
  legacyFile,
  littleEndian,
  pickledTensor,
  pushed,
  pushedTensor,
  zipOf,
} from '../../test/support/torch-file.js';
import type { TensorInstructions } from '../../test/support/torch-file.js';
import { UserError } from '../errors.js';
import { field, type PickleValue } from './pickle-values.js';
import { openPyTorch, type PyTorchFile } from './pytorch.js';

const fixtures = join('test', 'fixtures', 'pytorch');

const expectedSchema = z.record(
  z.string(),
  z.record(
    z.string(),
    z.object({
      dtype: z.string(),
      shape: z.array(z.number()),
      values: z
        .array(z.union([z.number(), z.enum(['inf', '-inf']).transform((v) => (v === 'inf' ? 1 : -1) / 0)]))
        .nullable(),
    }),
  ),
);
const expected = expectedSchema.parse(JSON.parse(readFileSync(join(fixtures, 'expected.json'), 'utf8')));

/** Opens a fixture for as long as `use` runs. */
function withFile<T>(path: string, use: (file: PyTorchFile) => T): T {
  const file = openPyTorch(path);
  try {
    return use(file);
  } finally {
    file.close();
  }
}

/** The dict that has the tensors in the files of fairseq and in the others. */
const modelOf = ({ value }: PyTorchFile): PickleValue | undefined => field(value, 'model') ?? value;

describe('PyTorch files', () => {
  let folder: string;
  let path: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-pytorch-'));
    path = join(folder, 'model.pt');
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  /** Opens the bytes as a file and reads every tensor. */
  function readAll(content: Uint8Array): Map<string, Float32Array> {
    writeFileSync(path, content);
    return withFile(path, (file) => {
      const tensors = file.stateDict(modelOf(file));
      return new Map([...tensors.values()].map((tensor) => [tensor.name, tensor.read()]));
    });
  }

  function refusal(content: Uint8Array): string {
    try {
      readAll(content);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      expect(error.kind).to.equal('files');
      return error.message.replaceAll(`${path}: `, '');
    }
    throw new Error('nothing was refused');
  }

  for (const [name, tensors] of Object.entries(expected)) {
    it(`reads the tensors of ${name}`, () => {
      withFile(join(fixtures, name), (file) => {
        const stored = file.stateDict(modelOf(file));
        expect([...stored.keys()]).to.deep.equal(Object.keys(tensors));
        for (const tensor of stored.values()) {
          const { dtype, shape, values } = tensors[tensor.name]!;
          expect([tensor.dtype, tensor.shape], tensor.name).to.deep.equal([dtype, shape]);
          if (values === null) {
            expect(() => tensor.read(), tensor.name).to.throw(
              UserError,
              `tensor ${tensor.name} is ${dtype}, expected a float`,
            );
          } else {
            expect(tensor.read(), tensor.name).to.deep.equal(Float32Array.from(values));
          }
        }
      });
    });
  }

  for (const layout of ['zip', 'legacy']) {
    it(`reads the arguments of a fairseq checkpoint, and all that lies around them (${layout})`, () => {
      withFile(join(fixtures, `args.${layout}.pt`), ({ value }) => {
        const args = field(value, 'args');
        expect(args).to.include({ kind: 'object', module: 'argparse', name: 'Namespace' });
        expect(field(args, 'arch')).to.equal('roberta_base');
        expect(field(args, 'encoder_layers')).to.equal(12);
        expect(field(args, 'dropout')).to.equal(0.1);
        expect(field(args, 'untie_weights_roberta')).to.equal(false);
        expect(field(args, 'seed')).to.equal(null);
        expect(field(args, 'lr')).to.deep.equal([0.0005, 2n ** 70n]);
        expect(field(args, 'absent')).to.equal(undefined);
        const extra = field(value, 'extra_state');
        const meter = field(field(extra, 'meters'), 'train_loss');
        expect(meter).to.include({ module: 'fairseq.meters', name: 'AverageMeter' });
        expect([field(meter, 'val'), field(meter, 'count')]).to.deep.equal([0.5, 3]);
        expect(field(extra, 'counts')).to.deep.equal(new Map([['a', 1]]));
        expect(field(field(extra, 'words'), 'a')).to.equal(2);
        expect(field(extra, 'names')).to.deep.equal(new Set(['x']));
        expect(field(extra, 'raw')).to.deep.equal(Uint8Array.of(0, 255));
        expect(field(extra, 'size')).to.deep.equal([2, 3]);
      });
    });
  }

  it('reads the configuration of a newer fairseq checkpoint', () => {
    withFile(join(fixtures, 'cfg.zip.pt'), ({ value }) => {
      expect(field(value, 'args')).to.equal(null);
      const cfg = field(value, 'cfg');
      expect(cfg).to.include({ module: 'omegaconf.dictconfig', name: 'DictConfig' });
      expect(field(field(cfg, 'model'), '_name')).to.equal('roberta_large');
      expect(field(field(cfg, 'model'), 'encoder_layers')).to.equal(12);
      expect(field(cfg, '_name')).to.equal(null);
      expect(field(field(cfg, 'common'), 'ddp_backend')).to.include({ name: 'DDP_BACKEND_CHOICES' });
      expect(field(cfg, '_metadata')).to.equal(undefined);
    });
  });

  it('says what there is where a dict of tensors is expected', () => {
    withFile(join(fixtures, 'args.zip.pt'), (file) => {
      const message = 'an instance of argparse.Namespace where a dict of tensors is expected';
      expect(() => file.stateDict(field(file.value, 'args'))).to.throw(UserError, message);
      expect(() => file.stateDict(undefined)).to.throw(UserError, 'nothing where a dict');
    });
  });

  it('reads no tensor after the file has been closed, and may be closed twice', () => {
    const file = openPyTorch(join(fixtures, 'linear.2.pt'));
    const tensor = file.stateDict(file.value).get('weight')!;
    file.close();
    file.close();
    expect(() => tensor.read()).to.throw(Error, 'tensor weight is read after the file has been closed');
  });

  it('refuses what is not a file of torch.save, and says what it is', () => {
    expect(() => openPyTorch(join(folder, 'absent.pt'))).to.throw(UserError, 'does not exist');
    expect(() => openPyTorch(folder)).to.throw(UserError, 'not a regular file');
    expect(refusal(Buffer.alloc(0))).to.equal('0 bytes, too short for a file of torch.save');
    expect(refusal(latin1('PK'))).to.contain('too short');
    expect(refusal(Buffer.alloc(1000))).to.equal('not a file of torch.save');
    expect(refusal(latin1('\x1f\x8b\x08' + '\0'.repeat(600)))).to.equal('packed with gzip');
    expect(refusal(latin1('version https://git-lfs.github.com/spec/v1\n'))).to.contain('Git LFS');
    const tar = Buffer.alloc(1024);
    tar.write('ustar', 257);
    expect(refusal(tar)).to.equal('a tar archive');
    expect(refusal(latin1('\x80\x02}q\x00.' + ' '.repeat(600)))).to.equal('not a file of torch.save');
  });

  describe('as zip files', () => {
    const values = Float32Array.of(1, 2, 3, 4, 5, 6);
    const data = new Uint8Array(values.buffer);
    const pickle = pickledTensor({ size: [2, 3], stride: [3, 1] });
    const archive = (tensor: TensorInstructions): Buffer =>
      zipOf([
        ['a/data.pkl', pickledTensor(tensor)],
        ['a/data/0', data],
      ]);

    it('reads them with any folder name and with 64-bit sizes', () => {
      for (const zip64 of [false, true]) {
        const files: [string, string | Uint8Array][] = [
          ['any name/data.pkl', pickle],
          ['any name/byteorder', 'little'],
          ['any name/data/0', data],
        ];
        expect(readAll(zipOf(files, { zip64 })).get('weight'), `zip64: ${zip64}`).to.deep.equal(values);
      }
    });

    it('refuses names that leave the archive or are there twice, and compressed files', () => {
      const stored: [string, string | Uint8Array] = ['a/data/0', data];
      expect(refusal(zipOf([['a/data.pkl', pickle], stored, ['../b', '']]))).to.contain('invalid relative path: ../b');
      expect(refusal(zipOf([['a/data.pkl', pickle], stored, ['/b', '']]))).to.contain('absolute path: /b');
      expect(refusal(zipOf([['a/data.pkl', pickle], stored, stored]))).to.equal('two files named a/data/0');
      expect(refusal(zipOf([['a/data.pkl', pickle], stored], { method: 8 }))).to.contain('a/data.pkl is compressed');
      expect(refusal(zipOf([['a/data.pkl', pickle], stored, ['', '']]))).to.contain('a file without a name');
    });

    it('refuses archives of something else', () => {
      expect(refusal(zipOf([['a/model.json', '{}']]))).to.contain(
        'a zip file with 0 files FOLDER/data.pkl, expected one',
      );
      expect(
        refusal(
          zipOf([
            ['a/data.pkl', pickle],
            ['b/data.pkl', pickle],
          ]),
        ),
      ).to.contain('with 2 files FOLDER/data.pkl');
      expect(
        refusal(
          zipOf([
            ['a/data.pkl', pickle],
            ['a/constants.pkl', ''],
          ]),
        ),
      ).to.contain('a program of TorchScript');
    });

    it('refuses other byte orders', () => {
      const withOrder = (order: string): Buffer =>
        zipOf([
          ['a/data.pkl', pickle],
          ['a/data/0', data],
          ['a/byteorder', order],
        ]);
      expect(refusal(withOrder('big'))).to.equal('the tensors are big-endian (byteorder "big"), expected "little"');
      expect(refusal(withOrder('middle'))).to.equal('byteorder is "middle", expected "little"');
    });

    it('refuses storages that are missing, too short, or outside of their folder', () => {
      const shape = { size: [2, 3], stride: [3, 1] };
      expect(refusal(zipOf([['a/data.pkl', pickle]]))).to.equal('storage 0 is missing');
      expect(refusal(archive({ ...shape, count: 7 }))).to.equal(
        'storage 0 has 24 bytes for 7 elements of torch.float32',
      );
      for (const key of ['../data.pkl', '0/1', '..', '', 'x'.repeat(65)]) {
        expect(refusal(archive({ ...shape, key })), key).to.equal(`the name of a storage is ${key}`);
      }
    });

    it('refuses tensors that are larger than their storage, in whatever way they say so', () => {
      const more = 'is more than its storage of 24 bytes';
      const sizes: [string, TensorInstructions][] = [
        ['one row more', { size: [3, 3], stride: [3, 1] }],
        ['an offset', { size: [2, 3], stride: [3, 1], offset: 1 }],
        ['a stride', { size: [2, 3], stride: [4, 1] }],
        ['a product beyond 2^53', { size: [2 ** 30, 2 ** 30], stride: [2 ** 30, 1] }],
        ['a product beyond 2^64', { size: [2 ** 32, 2 ** 32, 2], stride: [0, 0, 1] }],
        ['strides of 0', { size: [2 ** 20, 6], stride: [0, 1] }],
        ['one element, far away', { size: [1], stride: [1], offset: 2 ** 52 }],
      ];
      for (const [way, tensor] of sizes) expect(refusal(archive(tensor)), way).to.contain(more);
      const none = 'the shape of a tensor is not a list of sizes';
      expect(refusal(archive({ size: [2n ** 60n], stride: [1] }))).to.equal(none);
      expect(refusal(archive({ size: [2], stride: [2n ** 60n] }))).to.equal(none);
      expect(refusal(archive({ size: [2, 3], stride: [1] }))).to.equal(none);
      expect(refusal(archive({ size: Array<number>(65).fill(1), stride: Array<number>(65).fill(1) }))).to.equal(none);
      expect(refusal(archive({ size: [1], stride: [1], count: 2n ** 60n }))).to.equal(
        'storage 0 of 1152921504606846976 elements',
      );
      expect(refusal(archive({ size: [1], stride: [1], count: 2 ** 52, type: 'DoubleStorage' }))).to.contain(
        'storage 0 of',
      );
      expect(refusal(archive({ size: [1], stride: [1], type: 'QInt8Storage' }))).to.contain('torch.QInt8Storage');
      expect(readAll(archive({ size: [0, 2 ** 40], stride: [1, 1] })).get('weight')).to.deep.equal(new Float32Array());
    });

    it('keeps the checked shape where the pickle changes its list of sizes afterwards', () => {
      const storage = pushedTensor({ size: [], stride: [] })
        .replace(/^[^(]*\(/, '')
        .replace(/Q[^]*/, 'Q');
      const sizes = `](K\x06eq\x00`;
      const tensor = `ctorch._utils\n_rebuild_tensor_v2\n(${storage}K\x00${sizes}(K\x01t\x89NtR`;
      const changed = `\x80\x02}${pushed('weight')}${tensor}sh\x00J\xff\xff\xff\x7fa0.`;
      expect(
        readAll(
          zipOf([
            ['a/data.pkl', changed],
            ['a/data/0', data],
          ]),
        ).get('weight'),
      ).to.deep.equal(values);
    });

    it('refuses parameters of no tensor, whole models, negated views, and tensors called by another function', () => {
      const refused = (instructions: string): string =>
        refusal(
          zipOf([
            ['a/data.pkl', `\x80\x02${instructions}.`],
            ['a/data/0', data],
          ]),
        );
      expect(refused(`ctorch._utils\n_rebuild_parameter\n(${pushed('x')}\x88NtR`)).to.equal('a parameter of a string');
      expect(refused(`(${pushed('module')}NNNtQ`)).to.contain('a whole model as a Python object');
      expect(refused(`${pushed('storage')}Q`)).to.equal('something other than a storage is kept outside the pickle');
      const tensor = pushedTensor({ size: [6], stride: [1] });
      const negated = tensor.replace(/NtR$/, `N}${pushed('neg')}\x88stR`);
      expect(refused(negated)).to.equal('a tensor is stored as a negated or conjugated view');
      const derived = 'ctorch._tensor\n_rebuild_from_type_v2\n';
      expect(refused(`${derived}(${derived}ctorch\nTensor\n)NtR`)).to.equal('a tensor of a derived class');
    });

    it('refuses to run code', () => {
      const attack = `\x80\x02cposix\nsystem\n${pushed('touch owned')}\x85R.`;
      expect(refusal(zipOf([['a/data.pkl', attack]]))).to.equal(
        'the file asks to run code: posix.system. Only tensors and plain containers are read',
      );
    });
  });

  describe('of the older layout', () => {
    const shape = { size: [2, 3], stride: [3, 1] };
    // The part of a storage that is meant is None in files that have no parts.
    const pickle = pickledTensor({ ...shape, view: 'N' });
    const values = Float32Array.of(1, 2, 3, 4, 5, 6);
    const numbers = Buffer.from(values.buffer).toString('latin1');
    const data = littleEndian(6, 8) + numbers;

    it('reads them, with bytes after their end or without', () => {
      expect(readAll(legacyFile(pickle, ['0'], data)).get('weight')).to.deep.equal(values);
      expect(readAll(legacyFile(pickle, ['0'], `${data}more`)).get('weight')).to.deep.equal(values);
    });

    it('refuses to run code, in each of the pickles', () => {
      const attack = `\x80\x02cposix\nsystem\n${pushed('touch owned')}\x85R.`;
      expect(refusal(legacyFile(attack, [], data))).to.contain('the file asks to run code: posix.system');
      const code = 'a class or storage where numbers and strings are expected';
      expect(refusal(legacyFile(pickle.slice(0, -1) + '.' + attack, [], data))).to.equal(code);
      expect(refusal(legacyFile(pickle, ['0'], data, 'cos\nsystem\n'))).to.equal(code);
    });

    it('refuses storages that are missing, there twice, unknown, or of another length', () => {
      expect(refusal(legacyFile(pickle, [], data))).to.equal('storage 0 is missing');
      const list = 'the list of storages is not that of the tensors';
      expect(refusal(legacyFile(pickle, ['0', '0'], data + data))).to.equal(list);
      expect(refusal(legacyFile(pickle, ['1'], data))).to.equal(list);
      expect(refusal(legacyFile(pickle, ['0'], littleEndian(7, 8) + numbers))).to.equal(
        'storage 0 has 7 elements, expected 6',
      );
      expect(refusal(legacyFile(pickle, ['0'], littleEndian(2n ** 60n, 8) + numbers))).to.contain('expected 6');
      expect(refusal(legacyFile(pickle, ['0'], data.slice(0, -1)))).to.contain('inside storage 0');
      const huge = pickledTensor({ ...shape, view: 'N', count: 2 ** 40 });
      expect(refusal(legacyFile(huge, ['0'], data))).to.contain('storage 0 of 4398046511104 bytes in a file of');
      const two = `\x80\x02](${pushedTensor({ ...shape, view: 'N' })}${pushedTensor({ ...shape, view: 'N', count: 7 })}e.`;
      expect(refusal(legacyFile(two, ['0'], data))).to.equal('storage 0 has two sizes');
    });

    it('refuses parts of a storage that lie outside of it', () => {
      const part = (offset: number, length: number): Buffer =>
        legacyFile(
          pickledTensor({ size: [2], stride: [1], view: `(${pushed('p')}${pushed(offset)}${pushed(length)}t` }),
          ['0'],
          data,
        );
      expect(readAll(part(3, 2)).get('weight')).to.deep.equal(Float32Array.of(4, 5));
      expect(refusal(part(5, 2))).to.equal('a part of storage 0 lies outside of it');
      expect(refusal(part(3, 1))).to.contain('is more than its storage of 4 bytes');
      expect(refusal(legacyFile(pickledTensor({ ...shape, view: 'K\x01' }), ['0'], data))).to.contain(
        'a part of storage 0',
      );
    });

    it('refuses big-endian machines and other versions', () => {
      expect(refusal(legacyFile(pickle, ['0'], data, '\x89'))).to.equal('the tensors are not little-endian');
      const file = legacyFile(pickle, ['0'], data);
      const version = file.indexOf('M\xe9\x03', 0, 'latin1');
      file[version + 1] = 0xea;
      expect(refusal(file)).to.equal('version 1002 of the format, expected 1001');
    });
  });

  for (const name of ['tensors.zip.pt', 'tensors.legacy.pt', 'args.zip.pt', 'args.legacy.pt', 'cfg.zip.pt']) {
    const bytes = readFileSync(join(fixtures, name));

    it(`refuses ${name} cut off anywhere`, () => {
      for (let i = 0; i < 64; i++) {
        refusal(bytes.subarray(0, Math.floor((i * bytes.length) / 64)));
      }
      refusal(bytes.subarray(0, -1));
    });

    it(`reads or refuses ${name} damaged in any way, in little memory`, () => {
      const before = process.resourceUsage().maxRSS;
      let [read, refused] = [0, 0];
      let index = 0;
      for (const damaged of mutations(bytes, 500, 20190726)) {
        try {
          readEach(damaged);
          read++;
        } catch (error) {
          if (!(error instanceof UserError)) throw new Error(`mutation ${index}`, { cause: error });
          expect(error.message.length, `the message of mutation ${index}`).to.be.below(2000);
          refused++;
        }
        index++;
      }
      // Damage to the numbers is not seen, damage to the description is: both have to occur.
      expect(read).to.be.above(20);
      expect(refused).to.be.above(100);
      expect(process.resourceUsage().maxRSS - before, 'KiB').to.be.below(256 * 1024);
    });
  }

  /** As readAll, with the values taken apart: types that are not read do not stop it. */
  function readEach(content: Uint8Array): void {
    writeFileSync(path, content);
    withFile(path, (file) => {
      for (const tensor of file.stateDict(modelOf(file)).values()) {
        if (/float(16|32|64)$/.test(tensor.dtype)) tensor.read();
        else expect(() => tensor.read()).to.throw(UserError);
      }
    });
  }
});
