import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe as describePath } from '../src/checkpoints/describe.js';
import { openCheckpoint } from '../src/checkpoints/open.js';
import { openSafetensors, writeSafetensors } from '../src/checkpoints/safetensors.js';
import { targetTensors, writeModelFiles, writtenFormats } from '../src/checkpoints/write-model.js';
import { planWrite } from '../src/checkpoints/write-plan.js';
import { UserError } from '../src/errors.js';
import { loadTokenizer } from '../src/tokenization/load.js';
import { toShards, toTorchFile } from './support/formats.js';
import { mutations } from './support/fuzz.js';
import { t4 } from './support/t4.js';
import { latin1, legacyFile, littleEndian, pushed, zipOf } from './support/torch-file.js';

/** Models whose files are damaged, or were made to do harm: whatever they hold, t4 reads or refuses them. */

const fixtures = join('test', 'fixtures');
const checkpoint = (name: string): string => join(fixtures, 'checkpoints', name);
const vocabulary = (name: string): string => join(fixtures, 'tokenization', name);

/** Mutations of each file. */
const count = 500;

let folder: string;
let source: string;
let output: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 't4-damaged-'));
  source = join(folder, 'source');
  output = join(folder, 'output');
  mkdirSync(source);
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** Puts the files of some folders together as the source. */
function take(...folders: readonly string[]): void {
  for (const each of folders) cpSync(each, source, { recursive: true });
  rmSync(join(source, 'expected.safetensors'), { force: true });
}

/** The Hugging Face fixture's weights in two shards and their index. */
function takeShards(): void {
  take(checkpoint('huggingface'));
  toShards(source);
}

/** All that inspecting, converting and training do with a model's files; written is everything but the weights. */
function useModel(): void {
  describePath(source);
  const opened = openCheckpoint(source);
  try {
    const plan = planWrite(opened);
    for (const format of writtenFormats) {
      for (const tensor of targetTensors(opened, plan, format).tensors) {
        expect(tensor.values()).to.have.length(tensor.shape.reduce((product: number, size) => product * size, 1));
      }
      mkdirSync(output);
      try {
        writeModelFiles(opened, plan, format, output);
      } finally {
        rmSync(output, { recursive: true });
      }
    }
  } finally {
    opened.close();
  }
}

const text = "I can't believe 2023!  café ﬁne 中文 🙂\n[MASK]<mask>";

function useTokenizer(): void {
  const tokenizer = loadTokenizer(source);
  const { inputIds } = tokenizer.encode(text, 'and', 64);
  for (const id of inputIds) tokenizer.textOf(id);
}

/** Writes a file again and again; each time the model must be usable or be refused. */
function damage(name: string, contents: Iterable<Uint8Array>, use: () => void, atLeastRefused: number): void {
  const before = process.resourceUsage().maxRSS;
  let [refused, index] = [0, 0];
  for (const bytes of contents) {
    writeFileSync(join(source, name), bytes);
    try {
      use();
    } catch (error) {
      if (!(error instanceof UserError)) {
        throw new Error(`content ${index} of ${name}: ${Buffer.from(bytes).toString('latin1')}`, { cause: error });
      }
      expect(error.kind, error.message).to.be.oneOf(['files', 'usage']);
      expect(error.message.length, `the message of content ${index}`).to.be.below(5000);
      refused++;
    }
    index++;
  }
  expect(refused, name).to.be.within(atLeastRefused, index);
  expect(process.resourceUsage().maxRSS - before, 'KiB').to.be.below(256 * 1024);
}

const oddValues: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  0.5,
  999_999_937,
  2 ** 53,
  1e300,
  '',
  'toString',
  '\u001b[2J',
  '/etc/passwd',
  [],
  [[0]],
  {},
  { content: 7 },
];

/** A JSON document with each of its values, the first 40, replaced by each odd one, or taken out. */
function* oddDocuments(json: string): Generator<Uint8Array> {
  for (let place = 0; place < 40; place++) {
    for (const odd of [undefined, ...oddValues]) {
      const changed = withValue(json, place, odd);
      if (changed === undefined) return;
      yield Buffer.from(changed);
    }
  }
}

/** The document with another value at a place, of all places in their order; undefined where it has fewer. */
function withValue(json: string, place: number, value: unknown): string | undefined {
  const counted = { places: 0 };
  const changed = JSON.stringify(JSON.parse(json), (key, old: unknown) =>
    key !== '' && counted.places++ === place ? value : old,
  );
  return counted.places > place ? changed : undefined;
}

describe('a damaged model', () => {
  // Each reader of tensors has such a test of its own; here are the files that say how they belong together.
  const models: [string, () => void, string, number][] = [
    [
      'of Hugging Face',
      () => {
        take(checkpoint('huggingface'), vocabulary('vocab'));
      },
      'config.json',
      50,
    ],
    ['of Hugging Face in shards', takeShards, 'model.safetensors.index.json', 50],
    [
      'of Hugging Face in a file of PyTorch',
      () => {
        take(checkpoint('huggingface'));
        toTorchFile(source, 'zip');
      },
      'pytorch_model.bin',
      50,
    ],
    [
      'of TensorFlow',
      () => {
        take(checkpoint('tensorflow'));
      },
      'bert_config.json',
      50,
    ],
    [
      'of fairseq',
      () => {
        take(checkpoint('fairseq'));
      },
      'model.pt',
      50,
    ],
  ];
  for (const [what, prepare, name, atLeast] of models) {
    it(`${what} is used or refused, whatever is wrong with ${name}`, () => {
      prepare();
      damage(name, mutations(readFileSync(join(source, name)), count, 20180611), useModel, atLeast);
    });
    if (!name.endsWith('.json')) continue;
    it(`${what} is used or refused, whatever ${name} says`, () => {
      prepare();
      damage(name, oddDocuments(readFileSync(join(source, name), 'utf8')), useModel, atLeast);
    });
  }

  const tokenizers: [string, string[]][] = [
    ['vocab', ['vocab.txt']],
    ['roberta', ['vocab.json', 'merges.txt']],
    ['fairseq', ['dict.txt', 'encoder.json', 'vocab.bpe']],
    ['albert', ['spiece.model']],
    ['json', ['tokenizer.json', 'tokenizer_config.json']],
  ];
  for (const [kind, files] of tokenizers) {
    for (const name of files) {
      it(`has a tokenizer that is used or refused, whatever is wrong with ${name}`, () => {
        take(vocabulary(kind));
        damage(name, mutations(readFileSync(join(source, name)), count, 20180611), useTokenizer, 20);
      });
      if (!name.endsWith('.json')) continue;
      it(`has a tokenizer that is used or refused, whatever ${name} says`, () => {
        take(vocabulary(kind));
        damage(name, oddDocuments(readFileSync(join(source, name), 'utf8')), useTokenizer, 20);
      });
    }
  }
});

describe('a hostile model', () => {
  const attack = `\x80\x02cposix\nsystem\n${pushed('touch owned')}\x85R.`;
  const config = (settings: object): void => {
    const path = join(source, 'config.json');
    const before: unknown = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(path, JSON.stringify({ ...(before as object), ...settings }));
  };
  const put = (name: string, content: string | Uint8Array): void => {
    writeFileSync(join(source, name), content);
  };
  /** A Hugging Face folder with other weights. */
  const weights = (name: string, content: Uint8Array): void => {
    take(checkpoint('huggingface'));
    rmSync(join(source, 'model.safetensors'));
    put(name, content);
  };
  const header = (length: bigint, json: string): Buffer => latin1(littleEndian(length, 8) + json);

  const cases: [string, () => void, string][] = [
    [
      'a pickle that runs a program (zip)',
      () => {
        weights('pytorch_model.bin', zipOf([['a/data.pkl', attack]]));
      },
      'the file asks to run code: posix.system',
    ],
    [
      'a pickle that runs a program (older layout)',
      () => {
        take(checkpoint('fairseq'));
        put('model.pt', legacyFile(attack, [], ''));
      },
      'the file asks to run code: posix.system',
    ],
    [
      'a pickle that runs a program before all else',
      () => {
        take(checkpoint('fairseq'));
        const whole = readFileSync(join(source, 'model.pt'));
        // At the end of the first of its pickles, the magic number's.
        const end = whole.indexOf('.');
        put('model.pt', Buffer.concat([whole.subarray(0, end), latin1(attack.slice(2)), whole.subarray(end)]));
      },
      'model.pt',
    ],
    [
      'a zip file with names outside of it',
      () => {
        weights('pytorch_model.bin', zipOf([['../../owned', 'x'], ['a/data.pkl', attack]])); // prettier-ignore
      },
      'invalid relative path',
    ],
    [
      'a zip file that was cut off',
      () => {
        weights('pytorch_model.bin', zipOf([['a/data.pkl', attack]]).subarray(0, -9));
      },
      'the zip file',
    ],
    [
      'a header of 2^60 bytes',
      () => {
        weights('model.safetensors', header(2n ** 60n, '{}'));
      },
      'does not fit into 10',
    ],
    [
      'a tensor of 2^60 values',
      () => {
        const json = JSON.stringify({ a: { dtype: 'F32', shape: [2 ** 30, 2 ** 30], data_offsets: [0, 4] } });
        weights('model.safetensors', header(BigInt(json.length), `${json}    `));
      },
      'has more than 2^53 values',
    ],
    [
      'a file of holes, which claims a terabyte',
      () => {
        const length = 2 ** 40;
        const json = JSON.stringify({ a: { dtype: 'F32', shape: [length / 4], data_offsets: [0, length] } });
        weights('model.safetensors', header(BigInt(json.length), json));
        truncateSync(join(source, 'model.safetensors'), 8 + json.length + length);
      },
      'do not fit',
    ],
    [
      'an index that names a file elsewhere',
      () => {
        takeShards();
        const index = join(source, 'model.safetensors.index.json');
        writeFileSync(index, readFileSync(index, 'utf8').replaceAll('model-00002', '../model-00002'));
        cpSync(join(source, 'model-00002-of-00002.safetensors'), join(folder, 'model-00002-of-00002.safetensors'));
      },
      'is not a plain file name',
    ],
    [
      'an index that names a file of the system',
      () => {
        takeShards();
        put('model.safetensors.index.json', JSON.stringify({ weight_map: { a: '/etc/passwd' } }));
      },
      'is not a plain file name',
    ],
    [
      'an index that names itself',
      () => {
        takeShards();
        put('model.safetensors.index.json', '{"weight_map": {"a": "model.safetensors.index.json"}}');
      },
      'model.safetensors.index.json',
    ],
    [
      'a configuration of lists in lists',
      () => {
        take(checkpoint('huggingface'));
        const [open, shut] = ['['.repeat(1e5), ']'.repeat(1e5)];
        const whole = readFileSync(join(source, 'config.json'), 'utf8');
        put('config.json', whole.replace('{', `{"deep": ${open}${shut},`));
      },
      'more than 100 deep',
    ],
    [
      'a vocabulary of millions of empty lines',
      () => {
        take(checkpoint('huggingface'));
        put('vocab.txt', '\n'.repeat(2 ** 22));
      },
      'lines, expected at most',
    ],
    [
      'a header of millions of objects',
      () => {
        const json = `{"a":[${'{},'.repeat(2 ** 22)}0]}`;
        weights('model.safetensors', header(BigInt(json.length), json));
      },
      'lists and objects',
    ],
    [
      'a configuration with a thousand million layers',
      () => {
        take(checkpoint('huggingface'));
        config({ num_hidden_layers: 1e9 });
      },
      'at most 1000 layers',
    ],
    [
      'a configuration with a thousand million segments that the weights need not have',
      () => {
        take(checkpoint('fairseq'));
        // As a Hugging Face folder of a RoBERTa without a table of segments.
        const json = { model_type: 'roberta', vocab_size: 37, hidden_size: 8, num_hidden_layers: 1 };
        const sizes = { num_attention_heads: 2, intermediate_size: 11, max_position_embeddings: 19 };
        put('config.json', JSON.stringify({ ...json, ...sizes, type_vocab_size: 1e9 }));
        const whole = openSafetensors(join(checkpoint('fairseq'), 'expected.safetensors'));
        const tensors = [...whole.tensors.values()].filter(({ name }) => !name.includes('token_type'));
        writeSafetensors(
          join(source, 'model.safetensors'),
          tensors.map((tensor) => ({ ...tensor, values: () => tensor.read() })),
        );
        whole.close();
        rmSync(join(source, 'model.pt'));
      },
      'type_vocab_size',
    ],
    [
      'a device in place of a configuration',
      () => {
        take(checkpoint('huggingface'));
        rmSync(join(source, 'config.json'));
        symlinkSync('/dev/zero', join(source, 'config.json'));
      },
      'is not a regular file',
    ],
    [
      'a message to the terminal in a name',
      () => {
        const json = JSON.stringify({ '\u001b[2J': { dtype: '\u009b2J', shape: [-1], data_offsets: [0, 0] } });
        weights('model.safetensors', header(BigInt(Buffer.byteLength(json)), Buffer.from(json).toString('latin1')));
      },
      '\\x1b[2J',
    ],
    [
      'a message to the terminal in a configuration',
      () => {
        take(checkpoint('huggingface'));
        config({ model_type: 'bert\u009b2J\u001b]0;owned\u0007', id2label: { '\u001b[2J': 1 } });
      },
      'config.json: model_type: got',
    ],
    [
      'a message to the terminal in a vocabulary',
      () => {
        take(checkpoint('fairseq'), vocabulary('fairseq'));
        put('dict.txt', '\u001b[2Jowned 1\n\u001b[2Jowned 1\n');
      },
      'comes a second time',
    ],
  ];
  for (const [what, prepare, message] of cases) {
    it(`is refused, and nothing is written: ${what}`, async () => {
      prepare();
      const before = process.resourceUsage().maxRSS;
      for (const to of writtenFormats) {
        const ran = await t4('convert', '--to', to, source, '--output', output);
        expect(ran.code, ran.stderr).to.be.oneOf([2, 7]);
        expect(ran.stdout).to.equal('');
        expect(ran.stderr).to.contain(message);
        expect(ran.stderr).not.to.match(/^ {4}at /m);
        expectPrintable(ran.stderr);
      }
      const shown = await t4('inspect', source);
      expect(shown.code, shown.stderr).to.be.oneOf([0, 2, 7]);
      expectPrintable(shown.stdout + shown.stderr);
      expect(existsSync(output)).to.be.false;
      expect(readdirSync('.')).not.to.include('owned');
      expect(readdirSync(folder).filter((name) => !/^(source|model-00002)/.test(name))).to.deep.equal([]);
      expect(process.resourceUsage().maxRSS - before, 'KiB').to.be.below(512 * 1024);
    });
  }
});

/** A terminal obeys other characters than these. */
function expectPrintable(said: string): void {
  // eslint-disable-next-line no-control-regex -- they are what is looked for
  expect(said).not.to.match(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/u);
}
