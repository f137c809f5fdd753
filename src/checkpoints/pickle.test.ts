import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { latin1, littleEndian, pushed } from '../../test/support/torch-file.js';
import { UserError } from '../errors.js';
import { ByteReader } from './pickle-bytes.js';
import { field, type PickleValue } from './pickle-values.js';
import { readPickle } from './pickle.js';
import { pytorchEnvironment } from './pytorch-globals.js';

const fixtureSchema = z.object({ values: z.record(z.string(), z.unknown()), pickles: z.array(z.string()) });
const fixture = fixtureSchema.parse(
  JSON.parse(readFileSync(join('test', 'fixtures', 'pytorch', 'values.json'), 'utf8')),
);

/** Dicts as objects. For values without cycles. */
function toJson(value: PickleValue): unknown {
  if (Array.isArray(value)) return value.map(toJson);
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, entry]): [unknown, unknown] => [key, toJson(entry)]));
  }
  return value;
}

describe('pickle', () => {
  let folder: string;
  let path: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-pickle-'));
    path = join(folder, 'data.pkl');
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  function read(pickle: string | Uint8Array): PickleValue {
    const bytes = typeof pickle === 'string' ? latin1(pickle) : pickle;
    writeFileSync(path, bytes);
    const descriptor = openSync(path, 'r');
    try {
      const load = (): never => {
        throw new Error('no storages here');
      };
      const reader = new ByteReader({ path, descriptor, size: bytes.length }, 0, bytes.length);
      return readPickle(reader, pytorchEnvironment(path, load));
    } finally {
      closeSync(descriptor);
    }
  }

  function refusal(pickle: string): string {
    try {
      read(pickle);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      expect(error.kind).to.equal('files');
      return error.message.replace(`${path}: `, '');
    }
    throw new Error('nothing was refused');
  }

  for (const [protocol, pickle] of fixture.pickles.entries()) {
    it(`reads what Python writes in protocol ${protocol}`, () => {
      const value = read(Buffer.from(pickle, 'base64'));
      expect(toJson(value)).to.deep.equal(fixture.values);
      const shared = field(value, 'shared');
      if (!Array.isArray(shared)) throw new Error('not a list');
      expect(shared[0]).to.equal(shared[1]);
    });
  }

  it('reads integers of any size, exactly', () => {
    expect(read('\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.')).to.equal(2n ** 64n);
    expect(read('\x80\x02\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.')).to.equal(-(2n ** 63n));
    expect(read('\x80\x02\x8a\x01\xff.')).to.equal(-1);
    expect(read('\x80\x02\x8a\x00.')).to.equal(0);
    expect(read('I01\n.')).to.equal(true);
  });

  it('reads floats that are none in decimal', () => {
    expect([read('Finf\n.'), read('F-inf\n.'), read('Fnan\n.'), read('F-1.5e-3\n.')]).to.deep.equal([
      Infinity,
      -Infinity,
      NaN,
      -0.0015,
    ]);
  });

  it('reads a string of Python 2 as text where it is UTF-8 and as bytes where it is not', () => {
    expect(read('U\x02\xc3\xbc.')).to.equal('ü');
    expect(read('T\x02\0\0\0\xff\x00.')).to.deep.equal(Uint8Array.of(255, 0));
  });

  it('reads sets, bytes, and the relatives of dict and list', () => {
    expect(read('\x80\x04\x8f(K\x01K\x02\x90.')).to.deep.equal(new Set([1, 2]));
    expect(read('\x80\x04(K\x01\x91.')).to.deep.equal(new Set([1]));
    expect(read('c__builtin__\nset\n](K\x01K\x02e\x85R.')).to.deep.equal(new Set([1, 2]));
    expect(read(`c_codecs\nencode\n${pushed('\xc3\xbf')}${pushed('latin1')}\x86R.`)).to.deep.equal(Uint8Array.of(255));
    expect(read('\x80\x05\x96\x02\0\0\0\0\0\0\0ab.')).to.deep.equal(Uint8Array.of(97, 98));
    expect(read('ccollections\nOrderedDict\n](](K\x01K\x02ee\x85R.')).to.deep.equal(new Map([[1, 2]]));
    expect(read('ccollections\ndefaultdict\nc__builtin__\nint\n\x85RK\x01K\x02s.')).to.deep.equal(new Map([[1, 2]]));
    expect(read('ctorch\nSize\n(K\x01K\x02t\x85R.')).to.deep.equal([1, 2]);
  });

  it('keeps what a class would be made of: arguments, state, entries, elements', () => {
    const attributes = `}${pushed('a')}K\x01s`;
    const value = read(`cfairseq.logging.meters\nMetersDict\nK\x07\x85\x81(K\x01K\x02uK\x05a${attributes}b.`);
    expect(value).to.deep.equal({
      kind: 'object',
      module: 'fairseq.logging.meters',
      name: 'MetersDict',
      args: [7],
      state: new Map([['a', 1]]),
      entries: new Map([[1, 2]]),
      elements: [5],
    });
    expect(field(value, 'a')).to.equal(1);
  });

  it('keeps every way of making an object of a class', () => {
    const ways = {
      REDUCE: 'cargparse\nNamespace\n(K\x01tR.',
      NEWOBJ: 'cargparse\nNamespace\n(K\x01t\x81.',
      NEWOBJ_EX: 'cargparse\nNamespace\n(K\x01t}\x92.',
      OBJ: '(cargparse\nNamespace\nK\x01o.',
      INST: '(K\x01iargparse\nNamespace\n.',
      STACK_GLOBAL: '\x80\x04\x8c\x08argparse\x8c\x09Namespace\x93K\x01\x85R.',
    };
    for (const [way, pickle] of Object.entries(ways)) {
      expect(read(pickle), way).to.include({ kind: 'object', module: 'argparse', name: 'Namespace' });
      expect(read(pickle), way).to.have.deep.property('args', [1]);
    }
    const old = 'ccopy_reg\n_reconstructor\n(cargparse\nNamespace\nc__builtin__\nobject\nNtR.';
    expect(read(old)).to.include({ kind: 'object', module: 'argparse', name: 'Namespace' });
  });

  it('refuses by name whatever else a pickle wants to call, however it says so', () => {
    const argument = pushed('echo');
    const calls = {
      REDUCE: `cos\nsystem\n${argument}\x85R.`,
      'REDUCE in protocol 4': `\x80\x04\x8c\x02os\x8c\x06system\x93${argument}\x85R.`,
      INST: `(${argument}ios\nsystem\n.`,
      OBJ: `(cos\nsystem\n${argument}o.`,
      NEWOBJ: `cos\nsystem\n${argument}\x85\x81.`,
      NEWOBJ_EX: `cos\nsystem\n${argument}\x85}\x92.`,
      'BUILD with __setstate__': `cargparse\nNamespace\n)\x81}${pushed('__setstate__')}cos\nsystem\nsb${argument}b.`,
      'a name that is not called': 'cos\nsystem\n.',
      'as defaultdict calls it': 'ccollections\ndefaultdict\ncos\nsystem\n\x85R.',
    };
    for (const [way, pickle] of Object.entries(calls)) {
      expect(refusal(pickle), way).to.equal(
        'the file asks to run code: os.system. Only tensors and plain containers are read',
      );
    }
    const others = [
      'posix.system',
      'nt.system',
      'subprocess.Popen',
      'builtins.eval',
      'builtins.exec',
      'builtins.__import__',
      'runpy.run_path',
      'torch.load',
      'torch.storage._load_from_bytes',
      'torch.hub.load',
      'torch._utils._rebuild_sparse_tensor',
      'numpy.load',
      'functools.partial',
      'operator.attrgetter',
      'fairseqs.x',
      'argparse.FileType',
      '__main__.Model',
    ];
    for (const name of others) {
      const dot = name.lastIndexOf('.');
      expect(refusal(`c${name.slice(0, dot)}\n${name.slice(dot + 1)}\n.`)).to.contain(`asks to run code: ${name}.`);
    }
    expect(refusal('c__builtin__\neval\n.')).to.contain('builtins.eval');
    expect(refusal('cos\nsy\x1b[2Jstem\n.')).to.contain('os.sy\\x1b[2Jstem');
  });

  it('takes getattr, type and getitem for what fairseq pickles with them, and for nothing else', () => {
    const member = read(`c__builtin__\ngetattr\ncfairseq.dataclass.constants\nChoice\n${pushed('c10d')}\x86R.`);
    expect(member).to.deep.include({ module: 'fairseq.dataclass.constants', name: 'Choice', args: ['c10d'] });
    expect(read('c__builtin__\ntype\nN\x85R.')).to.deep.include({ module: 'builtins', name: 'NoneType' });
    expect(read('c_operator\ngetitem\nctyping\nList\nc__builtin__\nint\n\x86R.')).to.include({ name: 'List' });
    expect(refusal(`c__builtin__\ngetattr\n${pushed('a')}${pushed('b')}\x86R.`)).to.contain('builtins.getattr');
    expect(refusal(`c__builtin__\ntype\n${pushed('a')})}\x87R.`)).to.contain('builtins.type');
    expect(refusal('c_operator\ngetitem\n}K\x01\x86R.')).to.contain('the arguments of _operator.getitem');
  });

  it('refuses calls of values, of storage classes, and attributes of values that have none', () => {
    expect(refusal(`${pushed('os.system')})R.`)).to.equal('the pickle at byte 15: a string is called');
    expect(refusal('cargparse\nNamespace\n)R)R.')).to.contain('an instance of argparse.Namespace is called');
    expect(refusal('ctorch\nFloatStorage\n)R.')).to.contain('torch.FloatStorage is called');
    expect(refusal(']Nb.')).to.contain('attributes are set in a list');
    expect(refusal('}K\x01a.')).to.contain('values are appended to a dict');
    expect(refusal(']K\x01K\x02s.')).to.contain('items are set in a list');
    expect(refusal('\x80\x04](K\x01\x90.')).to.contain('items are added to a list');
    expect(refusal('}(K\x01u.')).to.contain('a key without a value');
  });

  it('refuses instructions it does not know, and those of later protocols', () => {
    expect(refusal('\x80\x02\x82\x01.')).to.equal('the pickle at byte 2: 0x82 is not an instruction that is known');
    expect(refusal("S'a'\n.")).to.contain('0x53 is not an instruction');
    expect(refusal('\x80\x05\x97.')).to.contain('0x97');
    expect(refusal('\x80\x06N.')).to.contain('pickle protocol 6, expected at most 5');
  });

  it('refuses what is missing on the stack, at the marks and in the memory', () => {
    for (const pickle of ['.', '0.', 'R.', '(.', '(a.', 'K\x01(R.', '\x87.', '2.']) {
      expect(refusal(pickle), pickle).to.contain('a value is missing');
    }
    for (const pickle of ['t.', 'e.', '1.', '(K\x01tl.'])
      expect(refusal(pickle), pickle).to.contain('a mark is missing');
    expect(refusal('h\x05.')).to.contain('no value is remembered as 5');
    expect(refusal('Np-1\n0.')).to.contain('remembered under no number');
    expect(refusal('q\x00.')).to.contain('a value is missing');
  });

  it('refuses lengths beyond the file before it makes room for them', () => {
    expect(refusal(`X${littleEndian(2 ** 28, 4)}abc.`)).to.equal(
      '268435456 bytes are expected at byte 5, where 4 are left',
    );
    expect(refusal(`X${littleEndian(2 ** 32 - 1, 4)}abc.`)).to.contain('a length of 4294967295 bytes');
    expect(refusal(`\x80\x04\x8d${littleEndian(2n ** 60n, 8)}abc.`)).to.contain(
      'a length of 1152921504606846976 bytes',
    );
    expect(refusal(`\x80\x04\x95${littleEndian(2n ** 64n - 1n, 8)}N.`)).to.contain('a length of');
    expect(refusal(`\x80\x02\x8b${littleEndian(2 ** 31, 4)}abc.`)).to.contain('an integer of 2147483648 bytes');
    expect(refusal('cargparse\nNamespace')).to.contain('does not end');
    expect(refusal('X\x01\0\0\0\xff.')).to.contain('a string that is not UTF-8');
    expect(refusal(`I${'9'.repeat(3000)}\n.`)).to.contain('an integer that is none');
    expect(refusal('F1.2.3x\n.')).to.contain('a number that is none');
  });

  it('reads lists in lists, however deep, and values that contain themselves', () => {
    const deep = 200_000;
    let value = read(']'.repeat(deep) + 'a'.repeat(deep - 1) + '.');
    for (let depth = 1; depth < deep; depth++) {
      if (!Array.isArray(value) || value.length !== 1) throw new Error(`no list at ${depth}`);
      value = value[0]!;
    }
    const own = read(']q\x00h\x00a.');
    expect(own).to.be.an('array').with.property('0', own);
  });

  it('stops where a pickle is larger than any real one', () => {
    const larger = 'the pickle that describes the tensors is larger than any';
    expect(refusal(']'.repeat(1_000_000))).to.contain(larger);
    // 1200 times a copy of 60,000 characters
    const copy = 'h\x00h\x01\x85R0';
    expect(refusal(`c_codecs\nencode\nq\x00${pushed('x'.repeat(60_000))}q\x01${copy.repeat(1200)}.`)).to.contain(
      larger,
    );
    // 9000 times a list of 1000
    const list = `c__builtin__\nlist\nq\x00](${'N'.repeat(1000)}eq\x01`;
    expect(refusal(`${list}${copy.repeat(9000)}.`)).to.contain(larger);
  });
});
