import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { openSafetensors, writeSafetensors } from '../src/checkpoints/safetensors.js';
import { loadTokenizer } from '../src/tokenization/load.js';
import { bitsOf } from './support/formats.js';
import { t4, type Ran } from './support/t4.js';

const fixtures = join('test', 'fixtures');

const jsonOf = (path: string): Record<string, unknown> =>
  z.looseObject({}).parse(JSON.parse(readFileSync(path, 'utf8')));

describe('t4 convert', () => {
  let folder: string;
  let output: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-convert-'));
    output = join(folder, 'output');
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  /** A copy of a fixture, with the files of a tokenizer where one is named. */
  function source(format: 'fairseq' | 'tensorflow' | 'huggingface', tokenizer?: 'fairseq' | 'vocab'): string {
    const path = join(folder, format);
    cpSync(join(fixtures, 'checkpoints', format), path, { recursive: true });
    rmSync(join(path, 'expected.safetensors'), { force: true });
    if (tokenizer !== undefined) cpSync(join(fixtures, 'tokenization', tokenizer), path, { recursive: true });
    return path;
  }

  const convert = (to: string, from: string, ...more: readonly string[]): Promise<Ran> =>
    t4('convert', '--to', to, from, '--output', output, ...more);

  /** Nothing lies in the folder but what was there before. */
  function expectNothingWritten(before: readonly string[]): void {
    expect(readdirSync(folder).sort()).to.deep.equal([...before].sort());
  }

  for (const format of ['fairseq', 'tensorflow'] as const) {
    it(`writes the names and bits that Transformers has, from ${format}`, async () => {
      const ran = await convert('huggingface', source(format));
      expect(ran.code, ran.stderr).to.equal(0);
      const expected = bitsOf(join(fixtures, 'checkpoints', format, 'expected.safetensors'));
      expect(bitsOf(join(output, 'model.safetensors'))).to.deep.equal(expected);
      expect(readdirSync(output).sort()).to.deep.equal(['config.json', 'model.safetensors']);
    });

    it(`goes through TensorFlow without losing a bit, from ${format}`, async () => {
      const bundle = join(folder, 'bundle');
      expect(await t4('convert', '--to', 'tensorflow', source(format), '--output', bundle)).to.include({ code: 0 });
      expect(await convert('huggingface', bundle)).to.include({ code: 0 });
      const expected = bitsOf(join(fixtures, 'checkpoints', format, 'expected.safetensors'));
      expect(bitsOf(join(output, 'model.safetensors'))).to.deep.equal(expected);
    });
  }

  it('tells what was found, what became of it, and what to type next', async () => {
    const { stdout, stderr } = await convert('huggingface', source('fairseq', 'fairseq'));
    expect(stderr).to.contain('fairseq: RoBERTa, 1 layer of 8 in 2 heads, vocabulary 37; ');
    for (const line of [
      /^source +.*fairseq \(fairseq: RoBERTa/m,
      /^written +26 tensors, 4\.3 KiB of float32, converted from torch\.float16$/m,
      /^added +roberta\.embeddings\.token_type_embeddings\.weight: zeros/m,
      /^left out +encoder\.lm_head\.weight: a copy of a tensor that is written$/m,
      /^tokenizer +vocab\.json, merges\.txt, tokenizer_config\.json$/m,
      /^result +.*output \(Hugging Face, RobertaForMaskedLM\)$/m,
      /^next +.* finetune --task demo --model .*output$/m,
    ]) {
      expect(stdout).to.match(line);
    }
  });

  it('writes one JSON document for a script', async () => {
    const { code, stdout } = await convert('tensorflow', source('huggingface', 'vocab'), '--json', '--quiet');
    expect(code).to.equal(0);
    const result = z.looseObject({ source: z.looseObject({}) }).parse(JSON.parse(stdout));
    expect(result.source).to.include({ format: 'huggingface', family: 'bert', layers: 1, heads: 2, vocabulary: 37 });
    expect(result).to.deep.include({ output: { folder: output, format: 'tensorflow' }, added: [], left_out: [] });
    expect(result.tokenizer).to.deep.equal(['vocab.txt']);
  });

  it('names the output after the source, in the current folder', async () => {
    source('tensorflow');
    const before = process.cwd();
    process.chdir(folder);
    try {
      const ran = await t4('convert', '--to', 'huggingface', './tensorflow');
      expect(ran.code, ran.stderr).to.equal(0);
      expect(ran.stdout).to.match(/^result +tensorflow-huggingface \(/m);
    } finally {
      process.chdir(before);
    }
    expect(existsSync(join(folder, 'tensorflow-huggingface', 'config.json'))).to.be.true;
  });

  it("keeps a tokenizer's ids: fairseq's files as vocab.json and merges.txt", async () => {
    const from = source('fairseq', 'fairseq');
    expect(await convert('huggingface', from)).to.include({ code: 0 });
    const text = "I can't believe 2023!  café 中文\n";
    const ids = (at: string): number[] => loadTokenizer(at).encode(text, undefined, 64).inputIds;
    expect(ids(output)).to.deep.equal(ids(from));
    expect(jsonOf(join(output, 'tokenizer_config.json'))).to.deep.equal({
      tokenizer_class: 'RobertaTokenizer',
      model_max_length: 17,
      add_prefix_space: false,
    });
  });

  it('says of a bare vocabulary whether texts are lower-cased', async () => {
    expect(await convert('huggingface', source('tensorflow', 'vocab'))).to.include({ code: 0 });
    expect(jsonOf(join(output, 'tokenizer_config.json'))).to.deep.include({
      tokenizer_class: 'BertTokenizer',
      do_lower_case: true,
    });
    rmSync(output, { recursive: true });
    const capitals = Array.from({ length: 26 }, (_, i) => String.fromCharCode(0x41 + i)).join('\n');
    writeFileSync(join(folder, 'tensorflow', 'vocab.txt'), `[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n${capitals}\n`);
    const ran = await convert('huggingface', join(folder, 'tensorflow'));
    expect(ran.stderr).to.contain('texts are not lower-cased');
    expect(jsonOf(join(output, 'tokenizer_config.json'))).to.deep.include({ do_lower_case: false });
  });

  it('makes a vocab.txt of a lone tokenizer.json for TensorFlow', async () => {
    const from = source('huggingface');
    const tokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'good', '##ness'];
    const model = {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 9,
    };
    const special = tokens.slice(0, 5).map((content, id) => ({ id, content, special: true, normalized: false }));
    const post = {
      type: 'BertProcessing',
      sep: ['[SEP]', 3],
      cls: ['[CLS]', 2],
    };
    writeFileSync(
      join(from, 'tokenizer.json'),
      JSON.stringify({
        added_tokens: special,
        normalizer: { type: 'BertNormalizer', lowercase: true },
        pre_tokenizer: { type: 'BertPreTokenizer' },
        post_processor: post,
        decoder: { type: 'WordPiece', prefix: '##' },
        model: { ...model, vocab: Object.fromEntries(tokens.map((token, id) => [token, id])) },
      }),
    );
    const ran = await convert('tensorflow', from);
    expect(ran.code, ran.stderr).to.equal(0);
    expect(readFileSync(join(output, 'vocab.txt'), 'utf8')).to.equal(tokens.map((token) => `${token}\n`).join(''));
  });

  it('converts without a tokenizer, and says what is missing', async () => {
    const from = source('fairseq');
    cpSync(join(fixtures, 'tokenization', 'fairseq', 'dict.txt'), join(from, 'dict.txt'));
    const ran = await convert('huggingface', from);
    expect(ran.code).to.equal(0);
    expect(ran.stderr).to.contain('encoder.json and vocab.bpe are not beside it');
    expect(ran.stdout).to.match(/^next +.* inspect /m);
  });

  it('lists tensors that it does not know, and tells them from those that are no weights', async () => {
    const from = source('huggingface');
    const file = openSafetensors(join(from, 'model.safetensors'));
    const tensors = [...file.tensors.values()].map((tensor) => ({ ...tensor, values: () => tensor.read() }));
    const more = { name: 'adapter.weight', shape: [2], values: () => Float32Array.of(1, 2) };
    const positions = { name: 'bert.embeddings.position_ids', shape: [1, 2], values: () => Float32Array.of(0, 1) };
    writeSafetensors(join(from, 'more.safetensors'), [...tensors, more, positions]);
    file.close();
    cpSync(join(from, 'more.safetensors'), join(from, 'model.safetensors'));
    const ran = await convert('huggingface', from);
    expect(ran.stdout).to.contain(' adapter.weight: not of this model');
    expect(ran.stdout).to.contain(
      ' bert.embeddings.position_ids: no weight, but numbers that every program makes anew',
    );
  });

  it('writes into an empty folder', async () => {
    mkdirSync(output);
    expect(await convert('huggingface', source('tensorflow'))).to.include({ code: 0 });
    expect(readdirSync(output).sort()).to.deep.equal(['config.json', 'model.safetensors']);
  });

  it('never loads TensorFlow where nothing is compared', () => {
    const argv = ['convert', '--to', 'tensorflow', source('huggingface'), '--output', output, '--quiet'];
    const script =
      `const { main } = await import(${JSON.stringify(new URL('../src/cli.js', import.meta.url).href)});` +
      `process.exitCode = await main(${JSON.stringify(argv)});` +
      `console.log(process.report.getReport().sharedObjects.filter((name) => /tensorflow|tfjs/.test(name)).length);`;
    const ran = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(ran.status, ran.stderr).to.equal(0);
    expect(ran.stdout.trimEnd().split('\n').at(-1)).to.equal('0');
  });

  it('compares what both compute', async () => {
    const ran = await convert('huggingface', source('tensorflow'), '--verify');
    expect(ran.code, ran.stderr).to.equal(0);
    expect(ran.stdout).to.match(/^verified +the largest difference between the two is \d/m);
  });

  it('ends at a signal and leaves nothing', async () => {
    const from = source('huggingface');
    const known = new Set(process.listeners('SIGINT'));
    const running = convert('huggingface', from);
    let listener: NodeJS.SignalsListener | undefined;
    while (listener === undefined) {
      await new Promise((resolve) => setImmediate(resolve));
      listener = process.listeners('SIGINT').find((each) => !known.has(each));
    }
    // The listener alone: Mocha has one of its own.
    listener('SIGINT');
    const ran = await running;
    expect(ran).to.include({ code: 130, stdout: '' });
    expect(ran.stderr).to.contain('SIGINT: ending; nothing is kept');
    expectNothingWritten(['huggingface']);
    expect(process.listeners('SIGINT').filter((each) => !known.has(each))).to.deep.equal([]);
  });

  const usage: [string, readonly string[], string][] = [
    ['no source', ['convert', '--to', 'huggingface'], 'SOURCE is missing'],
    ['an empty source', ['convert', '', '--to', 'huggingface'], 'SOURCE is missing'],
    [
      'another format than that of the files',
      ['convert', join(fixtures, 'checkpoints', 'huggingface'), '--from', 'fairseq', '--to', 'tensorflow'],
      '--from: got fairseq, but the files in ',
    ],
    [
      'a file',
      ['convert', join(fixtures, 'checkpoints', 'fairseq', 'model.pt'), '--to', 'huggingface'],
      'model source ',
    ],
    ['no format', ['convert', 'x'], '--to is missing'],
    ['an unknown format', ['convert', 'x', '--to', 'onnx'], '--to: got "onnx", expected one of "tensorflow", '],
    ['two sources', ['convert', 'x', 'y', '--to', 'tensorflow'], 'unexpected y'],
    ['an unknown flag', ['convert', 'x', '--too', 'tensorflow'], 'unknown flag --too (did you mean --to?)'],
    ['no such folder', ['convert', './nowhere', '--to', 'tensorflow'], 'model source ./nowhere'],
  ];
  for (const [what, argv, message] of usage) {
    it(`refuses: ${what}`, async () => {
      const ran = await t4(...argv);
      expect(ran).to.include({ code: 2, stdout: '' });
      expect(ran.stderr).to.contain(`t4: ${message}`);
    });
  }

  it('refuses an output that holds something, before it looks at the source', async () => {
    mkdirSync(output);
    writeFileSync(join(output, 'notes.txt'), 'mine');
    const ran = await convert('huggingface', join(folder, 'nowhere'));
    expect(ran).to.include({ code: 2, stdout: '' });
    expect(ran.stderr).to.contain(`${output} is not empty`);
    expect(readdirSync(output)).to.deep.equal(['notes.txt']);
  });

  it('refuses an output that cannot be made', async () => {
    writeFileSync(join(folder, 'notes.txt'), 'mine');
    for (const path of [join(folder, 'notes.txt', 'output'), '/proc/output']) {
      const ran = await t4('convert', '--to', 'tensorflow', source('huggingface'), '--output', path);
      expect(ran).to.include({ code: 7, stdout: '' });
      expect(ran.stderr).to.contain(`t4: ${path} cannot be made: `).and.not.contain('    at ');
    }
  });

  it('refuses a run that has no model yet', async () => {
    mkdirSync(join(folder, 'run', 'checkpoints'), { recursive: true });
    writeFileSync(join(folder, 'run', 'task.yaml'), 'task: classification\n');
    const ran = await convert('tensorflow', join(folder, 'run'));
    expect(ran).to.include({ code: 7, stdout: '' });
    expect(ran.stderr).to.contain('is a run without a finished model').and.contain('--resume');
  });

  it('takes a configuration with a mark of the byte order', async () => {
    const from = source('huggingface');
    const config = readFileSync(join(from, 'config.json'), 'utf8');
    writeFileSync(join(from, 'config.json'), `\ufeff${config}`);
    expect(await convert('huggingface', from)).to.include({ code: 0 });
    expect(jsonOf(join(output, 'config.json'))).to.deep.include({ hidden_size: 8 });
  });

  const damages: [string, 'fairseq' | 'tensorflow' | 'huggingface', (at: string) => void, string][] = [
    [
      'no weights',
      'fairseq',
      (at) => {
        rmSync(join(at, 'model.pt'));
      },
      'no weights that t4 can read',
    ],
    [
      'several weights',
      'fairseq',
      (at) => {
        for (const name of ['a.pt', 'b.pt']) cpSync(join(at, 'model.pt'), join(at, name));
        rmSync(join(at, 'model.pt'));
      },
      'call the one that is meant model.pt',
    ],
    ...(
      [
        ['fairseq', 'model.pt'],
        ['huggingface', 'model.safetensors'],
        ['tensorflow', 'bert_model.ckpt.index'],
      ] as const
    ).map(([format, name]): (typeof damages)[number] => [
      'a place holder of Git LFS',
      format,
      (at) => {
        writeFileSync(join(at, name), 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n');
      },
      'git lfs pull',
    ]),
    [
      'a file that was cut off',
      'fairseq',
      (at) => {
        cut(join(at, 'model.pt'), 0.8);
      },
      'model.pt',
    ],
    [
      'a file of something else',
      'fairseq',
      (at) => {
        writeFileSync(join(at, 'model.pt'), 'x'.repeat(999));
      },
      'model.pt',
    ],
    [
      'a flipped bit',
      'tensorflow',
      (at) => {
        flip(join(at, 'bert_model.ckpt.data-00000-of-00001'));
      },
      'the checksum of',
    ],
    [
      'no configuration',
      'tensorflow',
      (at) => {
        rmSync(join(at, 'bert_config.json'));
      },
      'has no configuration',
    ],
    [
      'a file that was cut off',
      'huggingface',
      (at) => {
        cut(join(at, 'model.safetensors'), 0.8);
      },
      'model.safetensors',
    ],
    [
      'a configuration of another model',
      'huggingface',
      (at) => {
        configure(at, { hidden_size: 10 });
      },
      'do not fit',
    ],
    [
      'fewer layers than it says',
      'huggingface',
      (at) => {
        configure(at, { num_hidden_layers: 2 });
      },
      'is missing',
    ],
    [
      'a model of another kind',
      'huggingface',
      (at) => {
        configure(at, { model_type: 'gpt2' });
      },
      'expected one of bert',
    ],
    [
      'a broken vocabulary',
      'tensorflow',
      (at) => {
        writeFileSync(join(at, 'vocab.txt'), 'a\nb\n');
      },
      'in the vocabulary',
    ],
  ];
  for (const [what, format, damage, message] of damages) {
    it(`refuses ${what} and leaves nothing, from ${format}`, async () => {
      const from = source(format);
      damage(from);
      const deep = join(folder, 'new', 'folders', 'output');
      const ran = await t4('convert', '--to', 'huggingface', from, '--output', deep);
      expect(ran.code, ran.stderr).to.equal(7);
      expect(ran.stdout).to.equal('');
      expect(ran.stderr).to.contain(message);
      expect(ran.stderr).not.to.contain('    at ');
      expectNothingWritten([format]);
    });
  }
});

function cut(path: string, share: number): void {
  const content = readFileSync(path);
  writeFileSync(path, content.subarray(0, Math.floor(content.length * share)));
}

function flip(path: string): void {
  const content = readFileSync(path);
  content[content.length >> 1]! ^= 16;
  writeFileSync(path, content);
}

function configure(folder: string, settings: object): void {
  const path = join(folder, 'config.json');
  writeFileSync(path, JSON.stringify({ ...jsonOf(path), ...settings }));
}
