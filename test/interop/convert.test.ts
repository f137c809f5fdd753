import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { describe as describePath } from '../../src/checkpoints/describe.js';
import { openCheckpoint } from '../../src/checkpoints/open.js';
import { openSafetensors } from '../../src/checkpoints/safetensors.js';
import { openTensorBundle } from '../../src/checkpoints/tensor-bundle.js';
import type { StoredTensor } from '../../src/checkpoints/stored-tensor.js';
import { loadTokenizer } from '../../src/tokenization/load.js';
import { t4 } from '../support/t4.js';
import { arraySchema, askPython, type PythonArray } from './python.js';

const batchSchema = z.record(z.string(), z.array(z.array(z.number())));
const outputsSchema = z.record(z.string(), arraySchema);
const casesSchema = z.array(z.object({ name: z.string(), batch: batchSchema, outputs: outputsSchema }));
type Case = z.infer<typeof casesSchema>[number];
const loadedSchema = z.array(
  z.object({ outputs: outputsSchema, problems: z.array(z.string()), architecture: z.string() }),
);
const googleSchema = z.array(
  z.object({ outputs: outputsSchema, variables: z.array(z.tuple([z.string(), z.array(z.number())])) }),
);

/** The values' bits, so that NaN and -0 count. */
const bitsOf = (tensors: Iterable<StoredTensor>): Record<string, string> =>
  Object.fromEntries(
    [...tensors]
      .map((tensor): [string, string] => [
        tensor.name,
        `[${tensor.shape.join()}] ${Buffer.from(tensor.read().buffer).toString('hex')}`,
      ])
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );

function safetensorsBits(folder: string): Record<string, string> {
  const file = openSafetensors(join(folder, 'model.safetensors'));
  try {
    return bitsOf(file.tensors.values());
  } finally {
    file.close();
  }
}

function sourceBits(folder: string): Record<string, string> {
  const checkpoint = openCheckpoint(folder);
  try {
    // Older versions of Transformers saved this buffer of whole numbers with the weights.
    return bitsOf([...checkpoint.tensors.values()].filter(({ name }) => !name.endsWith('.position_ids')));
  } finally {
    checkpoint.close();
  }
}

function bundleBits(folder: string): Record<string, string> {
  const file = openTensorBundle(join(folder, 'bert_model.ckpt'));
  try {
    return bitsOf(file.tensors.values());
  } finally {
    file.close();
  }
}

function expectNear(got: PythonArray, expected: PythonArray, what: string, tolerance = 1e-5): void {
  expect(got.shape, what).to.deep.equal(expected.shape);
  expected.values.forEach((value, i) => {
    expect(got.values[i], `${what}, value ${i}`).to.be.closeTo(value, tolerance * Math.max(1, Math.abs(value)));
  });
}

/** Google's, of what Transformers computes: where the source has a head for masked words. */
const wordsOf = ({ outputs }: Case): PythonArray | undefined =>
  outputs.prediction_logits ?? (outputs.logits?.shape.at(-1) === 37 ? outputs.logits : undefined);

describe("t4 convert compared with Transformers and Python's TensorFlow", () => {
  let folder: string;
  let cases: readonly Case[];
  const source = (name: string): string => join(folder, 'source', name);
  const direct = (name: string): string => join(folder, 'direct', name);
  const bundle = (name: string): string => join(folder, 'bundle', name);
  const back = (name: string): string => join(folder, 'back', name);

  async function convert(to: string, from: string, output: string, ...more: readonly string[]): Promise<string> {
    const ran = await t4('convert', '--to', to, from, '--output', output, ...more);
    expect(ran.code, `${from}: ${ran.stderr}`).to.equal(0);
    return ran.stdout;
  }

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 't4-convert-'));
    cases = askPython('convert.py', { make: join(folder, 'source') }, casesSchema);
    for (const { name } of cases) {
      await convert('huggingface', source(name), direct(name));
      await convert('tensorflow', source(name), bundle(name));
      await convert('huggingface', bundle(name), back(name));
    }
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('covers all formats and families', () => {
    for (const format of ['huggingface', 'fairseq', 'tensorflow']) {
      expect(cases.filter(({ name }) => name.startsWith(format))).to.have.length.above(2);
    }
    for (const family of ['bert', 'albert', 'distilbert', 'roberta', 'electra']) {
      expect(cases.filter(({ name }) => name.startsWith(`huggingface/${family}-`))).to.have.length.above(3);
    }
  });

  it('writes folders that Transformers loads without a warning, and that compute the same', () => {
    for (const place of [direct, back]) {
      const requests = cases.map(({ name, batch }) => ({ folder: place(name), batch }));
      const loaded = askPython('convert.py', { load: requests }, loadedSchema);
      cases.forEach(({ name, outputs }, i) => {
        const answer = loaded[i]!;
        // fairseq's encoder alone has no pooler, which Transformers' bare model then begins afresh.
        const expected = name === 'fairseq/encoder' ? /pooler/ : /^(?!)/;
        expect(
          answer.problems.filter((problem) => !expected.test(problem)),
          place(name),
        ).to.deep.equal([]);
        const wanted = Object.entries(outputs).filter(([output]) => !(expected.test(output) && output !== 'logits'));
        for (const [output, values] of wanted) {
          expectNear(answer.outputs[output]!, values, `${place(name)}: ${output}`);
        }
      });
    }
  });

  it("names Transformers' class that the source had", () => {
    for (const { name } of cases) {
      const suffix = /^huggingface\/(?:\w+)-(\w+)/.exec(name)?.[1];
      if (suffix === undefined || name.startsWith('huggingface/bin')) continue;
      for (const place of [direct, back]) {
        const config = z
          .looseObject({ architectures: z.array(z.string()) })
          .parse(JSON.parse(readFileSync(join(place(name), 'config.json'), 'utf8')));
        expect(config.architectures[0], place(name)).to.match(new RegExp(`${suffix}$`));
      }
    }
  });

  it('keeps every bit and every name from Hugging Face to TensorFlow and back', () => {
    for (const { name } of cases.filter((each) => each.name.startsWith('huggingface/'))) {
      const bits = safetensorsBits(back(name));
      expect(bits, name).to.deep.equal(safetensorsBits(direct(name)));
      if (name.startsWith('huggingface/bin')) {
        const legacy = sourceBits(source(name));
        for (const [tensor, values] of Object.entries(bits)) {
          const old = tensor.replace('Norm.weight', 'Norm.gamma').replace('Norm.bias', 'Norm.beta');
          expect(values, `${name}: ${tensor}`).to.equal(legacy[old]);
        }
      } else {
        const theirs = sourceBits(source(name));
        for (const tensor of Object.keys(theirs)) {
          // Transformers keeps this one beside the decoder's own without using it.
          const twin = tensor.replace(/\.bias$/, '.decoder.bias');
          if (twin !== tensor && Object.hasOwn(theirs, twin)) theirs[tensor] = theirs[twin]!;
        }
        expect(bits, name).to.deep.equal(theirs);
      }
    }
  });

  it('keeps every bit from fairseq and Google, whichever way', () => {
    for (const { name } of cases.filter((each) => !each.name.startsWith('huggingface/'))) {
      expect(safetensorsBits(back(name)), name).to.deep.equal(safetensorsBits(direct(name)));
    }
    for (const { name } of cases.filter((each) => each.name.startsWith('tensorflow/'))) {
      const theirs = sourceBits(source(name));
      for (const [tensor, values] of Object.entries(bundleBits(bundle(name)))) {
        expect(values, `${name}: ${tensor}`).to.equal(theirs[tensor]);
      }
      const dropped = Object.keys(theirs).filter((tensor) => !Object.hasOwn(bundleBits(bundle(name)), tensor));
      expect(
        dropped.filter((tensor) => !tensor.startsWith('generator')),
        name,
      ).to.deep.equal([]);
    }
  });

  it("writes TensorFlow checkpoints that Google's code computes the same of", () => {
    const withWords = cases.filter(
      (each) => wordsOf(each) !== undefined && !/distilbert|electra|tie_word|untied|num_hidden_groups/.test(each.name),
    );
    expect(withWords).to.have.length.above(15);
    const requests = withWords.map(({ name, batch }) => ({ folder: bundle(name), batch }));
    const answers = askPython('convert.py', { google: requests }, googleSchema);
    withWords.forEach((each, i) => {
      expectNear(answers[i]!.outputs.words!, wordsOf(each)!, each.name);
    });
  });

  it('describes each of them, and finds nothing wrong but that a tokenizer is missing', () => {
    for (const { name } of cases) {
      for (const at of [source(name), direct(name), bundle(name), back(name)]) {
        const { model } = describePath(at);
        expect(model?.problems, at).to.deep.equal(['there is no tokenizer']);
        expect([model?.missing, model?.damaged], at).to.deep.equal([[], false]);
      }
      const whole = describePath(source(name)).model?.parameters?.total;
      // Only Transformers has segments in every RoBERTa, groups that no layer uses, and two biases of an untied decoder.
      if (!name.startsWith('huggingface/') || /num_hidden_groups|roberta|tie_word/.test(name)) continue;
      const [first, second] = [direct(name), bundle(name)].map((at) => describePath(at).model?.parameters?.total);
      expect([first, second], name).to.deep.equal([whole, whole]);
    }
  });

  it('gives variables the names and shapes that TensorFlow lists', () => {
    const names = ['huggingface/bert-ForPreTraining', 'fairseq/2019'];
    const requests = names.map((name) => ({
      folder: bundle(name),
      batch: cases.find((each) => each.name === name)!.batch,
    }));
    const [bert, roberta] = askPython('convert.py', { google: requests }, googleSchema);
    const layer = (n: number): [string, number[]][] => {
      const scope = `bert/encoder/layer_${n}`;
      return [
        ...['query', 'key', 'value'].flatMap((part): [string, number[]][] => [
          [`${scope}/attention/self/${part}/kernel`, [8, 8]],
          [`${scope}/attention/self/${part}/bias`, [8]],
        ]),
        [`${scope}/attention/output/dense/kernel`, [8, 8]],
        [`${scope}/attention/output/dense/bias`, [8]],
        [`${scope}/attention/output/LayerNorm/gamma`, [8]],
        [`${scope}/attention/output/LayerNorm/beta`, [8]],
        [`${scope}/intermediate/dense/kernel`, [8, 11]],
        [`${scope}/intermediate/dense/bias`, [11]],
        [`${scope}/output/dense/kernel`, [11, 8]],
        [`${scope}/output/dense/bias`, [8]],
        [`${scope}/output/LayerNorm/gamma`, [8]],
        [`${scope}/output/LayerNorm/beta`, [8]],
      ];
    };
    const common: [string, number[]][] = [
      ['bert/embeddings/word_embeddings', [37, 8]],
      ['bert/embeddings/position_embeddings', [19, 8]],
      ['bert/embeddings/LayerNorm/gamma', [8]],
      ['bert/embeddings/LayerNorm/beta', [8]],
      ...[0, 1, 2].flatMap(layer),
      ['cls/predictions/transform/dense/kernel', [8, 8]],
      ['cls/predictions/transform/dense/bias', [8]],
      ['cls/predictions/transform/LayerNorm/gamma', [8]],
      ['cls/predictions/transform/LayerNorm/beta', [8]],
      ['cls/predictions/output_bias', [37]],
    ];
    const ofBert: [string, number[]][] = [
      ['bert/embeddings/token_type_embeddings', [3, 8]],
      ['bert/pooler/dense/kernel', [8, 8]],
      ['bert/pooler/dense/bias', [8]],
      ['cls/seq_relationship/output_weights', [2, 8]],
      ['cls/seq_relationship/output_bias', [2]],
    ];
    expect(Object.fromEntries(bert!.variables)).to.deep.equal(Object.fromEntries([...common, ...ofBert]));
    // As RoBERTa4Keras has it: without segments and pooler.
    expect(Object.fromEntries(roberta!.variables)).to.deep.equal(Object.fromEntries(common));
  });

  it('verifies what it writes', async () => {
    for (const name of [
      'fairseq/2019',
      'tensorflow/albert',
      'tensorflow/electra',
      'huggingface/distilbert-ForMaskedLM',
    ]) {
      for (const to of ['huggingface', 'tensorflow']) {
        const output = join(folder, 'verified', to, basename(name));
        const json = z
          .looseObject({ difference: z.number() })
          .parse(JSON.parse(await convert(to, source(name), output, '--verify', '--json')));
        expect(json.difference, name).to.be.below(1e-6);
      }
    }
  });

  it('gives Transformers a tokenizer with the same ids', async () => {
    const letters = Array.from({ length: 26 }, (_, i) => String.fromCharCode(0x41 + i));
    const [cased, texts] = [join(folder, 'cased'), ["I can't believe 2023! café 中文", 'Abc DEF the of and', '']];
    mkdirSync(cased);
    const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
    writeFileSync(join(cased, 'vocab.txt'), [...special, ...letters, 'a', '##b', '##c', 'the', ''].join('\n'));
    const folders: string[] = [];
    for (const [weights, tokenizer] of [
      ['fairseq/zip', join('test', 'fixtures', 'tokenization', 'fairseq')],
      ['tensorflow/bert', join('test', 'fixtures', 'tokenization', 'vocab')],
      ['tensorflow/bert', cased],
      ['tensorflow/electra', cased],
      ['tensorflow/albert', cased],
      ['huggingface/distilbert-Model', join('test', 'fixtures', 'tokenization', 'vocab')],
      ['huggingface/roberta-Model', cased],
    ] as const) {
      const at = join(folder, 'tokenizers', String(folders.length));
      cpSync(source(weights), at, { recursive: true });
      cpSync(tokenizer, at, { recursive: true });
      await convert('huggingface', at, `${at}-written`);
      folders.push(`${at}-written`);
      const ours = loadTokenizer(at);
      const expected = texts.map((text) => ours.encode(text, undefined, 512).inputIds);
      const written = loadTokenizer(`${at}-written`);
      expect(
        texts.map((text) => written.encode(text, undefined, 512).inputIds),
        weights,
      ).to.deep.equal(expected);
    }
    const idsSchema = z.array(z.array(z.array(z.number())));
    const theirs = askPython('convert.py', { tokenize: folders, texts }, idsSchema);
    folders.forEach((at, i) => {
      const tokenizer = loadTokenizer(at);
      expect(theirs[i], at).to.deep.equal(texts.map((text) => tokenizer.encode(text, undefined, 512).inputIds));
    });
  });

  it('leaves nothing but what it was asked for', () => {
    for (const place of [direct, bundle, back]) {
      for (const format of readdirSync(place(''))) {
        const expected = cases.filter(({ name }) => name.startsWith(`${format}/`)).map(({ name }) => basename(name));
        expect(readdirSync(join(place(''), format)).sort()).to.deep.equal(expected.sort());
      }
    }
  });
});
