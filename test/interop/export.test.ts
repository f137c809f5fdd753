import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import type { ModelCard } from '../../src/checkpoints/model-folder.js';
import type { Batch } from '../../src/data/batches.js';
import { joinEntities, type Entity, type LabelledWord } from '../../src/data/join-entities.js';
import { createRandom } from '../../src/data/random.js';
import { ownAnswers } from '../../src/export/answers.js';
import { servedLabels } from '../../src/export/served-model.js';
import { transitionRules, type TransitionRules } from '../../src/models/crf-rules.js';
import { modelConfigSchema, type ModelConfig } from '../../src/models/model-config.js';
import { sequenceClassifier, tokenClassifier } from '../../src/models/network.js';
import { loadTokenizer } from '../../src/tokenization/load.js';
import { entityNetwork } from '../../src/training/entity-task.js';
import { finishedNetwork, loadFinishedModel, openFinishedModel } from '../../src/training/finished-model.js';
import { writeRandomModel } from '../support/random-model.js';
import { t4 } from '../support/t4.js';
import { askPython } from './python.js';

const texts = [
  'The quick brown fox jumps over the lazy dog near Paris.',
  'Ada Lovelace wrote to Charles Babbage in London, 1843!',
  'fox',
];
const corpus = [...texts, 'Ein Café in Zürich; déjà vu.', '他们去了北京 and came back. 🙂 fine'];
const tags = ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC'];

type Head = 'sequence' | 'sets' | 'token';
const heads = ['sequence', 'sets', 'token'] as const;
const families = ['bert', 'roberta', 'albert', 'distilbert', 'electra'];

interface Case {
  readonly name: string;
  readonly head: Head;
  /** Whether Transformers has a class for it. */
  readonly isForeign: boolean;
  /** Of a CRF. */
  readonly rules?: TransitionRules;
}

/** Whether the tokenizer is WordPiece. */
const takesTexts = (name: string): boolean => !/^(roberta|albert)-/.test(name);

const none: TransitionRules = {
  transitions: tags.flatMap(() => tags.map(() => 0)),
  start: tags.map(() => 0),
  end: tags.map(() => 0),
};
const cases: readonly Case[] = [
  ...families.flatMap((family) => heads.map((head) => ({ name: `${family}-${head}`, head, isForeign: true }))),
  ...heads.map((head) => ({ name: `albert_zh-${head}`, head, isForeign: false })),
  { name: 'spans-token', head: 'token', isForeign: false },
  { name: 'crf-free', head: 'token', isForeign: true, rules: none },
  { name: 'crf-ruled', head: 'token', isForeign: true, rules: transitionRules(tags, 'IOB2') },
];

const arraySchema = z.object({ shape: z.array(z.number()), values: z.array(z.union([z.number(), z.string()])) });
const outputsSchema = z.record(z.string(), arraySchema);
const readSchema = z.array(
  z.object({
    methods: z.record(z.string(), z.string()),
    inputs: z.record(z.string(), z.array(z.string())),
    shown: z.record(z.string(), z.boolean()),
    foreign: z.array(z.string()),
    unreachable: z.array(z.string()),
    variables: z.number(),
    warmup: z.array(z.array(z.number())),
    outputs: z.array(z.record(z.string(), outputsSchema)),
    texts: z.object({ text: outputsSchema, tokenize: outputsSchema }).nullable(),
    classified: outputsSchema.nullable(),
    transformers: z
      .array(
        z.object({
          probabilities: z.array(z.number()),
          embedding: z.array(z.number()),
          label_ids: z.array(z.number()).optional(),
          path_scores: z.array(z.number()).optional(),
        }),
      )
      .nullable(),
    pipeline: z
      .array(z.union([z.record(z.string(), z.number()), z.array(z.tuple([z.number(), z.number(), z.string()]))]))
      .nullable(),
  }),
);
type Read = z.infer<typeof readSchema>[number];

/** Sequences of different lengths, the first of them full; some tokens of each begin a word, but none of the last's. */
function batchOf(size: number, length: number, vocabulary: number, types: number): Batch {
  const random = createRandom(31 * size + length);
  const zeros = (): Int32Array => new Int32Array(size * length);
  const [inputIds, tokenTypeIds, attentionMask, wordMask] = [zeros(), zeros(), zeros(), zeros()];
  for (let row = 0; row < size; row++) {
    const count = Math.max(1, length - 3 * row);
    for (let i = 0; i < count; i++) {
      const place = row * length + i;
      inputIds[place] = 5 + random(vocabulary - 5);
      tokenTypeIds[place] = i > count / 2 ? types - 1 : 0;
      attentionMask[place] = 1;
      wordMask[place] = Number((row === 0 || row < size - 1) && random(4) > 0);
    }
  }
  return {
    size,
    length,
    inputIds,
    tokenTypeIds,
    attentionMask,
    wordMask,
    labels: zeros().fill(-1),
    labelled: 'token',
    indices: Int32Array.from({ length: size }, (_, row) => row),
    tokens: 0,
  };
}

const small = {
  hidden_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  intermediate_size: 17,
  max_position_embeddings: 132,
};

describe('t4 export beside TensorFlow and Transformers', () => {
  let folder: string;
  let read: Map<string, Read>;
  const batches = new Map<string, readonly Batch[]>();
  const model = (name: string): string => join(folder, name);

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 't4-export-'));
    askPython('export.py', { make: { folder, corpus } }, z.object({}));
    const tokenizer = model('bert-sequence');
    const vocab_size = loadTokenizer(tokenizer).vocabSize;
    const albertZh = modelConfigSchema.parse({ model_type: 'albert_zh', ...small, vocab_size, embedding_size: 7 });
    const common = { version: 1, maxLength: 128, precision: 'fp32' } as const;
    const ofTexts = sequenceClassifier(albertZh, 3);
    const three = { ...common, labels: ['a', 'b', '三'] };
    writeRandomModel(
      model('albert_zh-sequence'),
      { config: albertZh, network: ofTexts, card: { ...three, task: 'classification' } },
      tokenizer,
      1500,
    );
    const sets: ModelCard = { ...three, task: 'multi-label-classification', threshold: 0.4 };
    writeRandomModel(model('albert_zh-sets'), { config: albertZh, network: ofTexts, card: sets }, tokenizer, 1500);
    const words: ModelCard = { ...common, labels: tags, task: 'ner' };
    writeRandomModel(
      model('albert_zh-token'),
      { config: albertZh, network: tokenClassifier(albertZh, tags.length), card: words },
      tokenizer,
      1500,
    );
    const bert = modelConfigSchema.parse({ model_type: 'bert', ...small, vocab_size });
    writeRandomModel(
      model('spans-token'),
      { config: bert, network: tokenClassifier(bert, tags.length), card: { ...words, words: 'split' } },
      tokenizer,
      1500,
    );
    for (const field of ['free', 'ruled'] as const) {
      const network = entityNetwork(bert, { labels: tags, field });
      writeRandomModel(
        model(`crf-${field}`),
        { config: bert, network: network, card: { ...words, field } },
        tokenizer,
        1500,
      );
    }
    for (const { name, isForeign } of cases) {
      for (const format of isForeign ? ['saved-model', 'huggingface'] : ['saved-model']) {
        const output = join(folder, format, name);
        const ran = await t4('export', '--checkpoint', model(name), '--format', format, '--output', output);
        expect(ran.code, `${name}: ${ran.stderr}`).to.equal(0);
      }
    }
    const requests = cases.map(({ name, head, isForeign, rules }) => {
      const { vocab_size: size, ...config } = modelConfig(name);
      const types = config.model_type === 'distilbert' ? 1 : config.type_vocab_size;
      const given = [1, 33].flatMap((rows) => [3, 128].map((length) => batchOf(rows, length, size, types)));
      batches.set(name, given);
      return {
        head,
        texts,
        saved: join(folder, 'saved-model', name, '1'),
        huggingface: isForeign ? join(folder, 'huggingface', name) : null,
        penalties:
          rules === undefined
            ? null
            : { transitions: rules.transitions, start_transitions: rules.start, end_transitions: rules.end },
        batches: given.map((batch) => ({
          size: batch.size,
          length: batch.length,
          inputs: {
            input_ids: Array.from(batch.inputIds),
            token_type_ids: Array.from(batch.tokenTypeIds),
            attention_mask: Array.from(batch.attentionMask),
            ...(rules === undefined ? {} : { word_mask: Array.from(batch.wordMask!) }),
          },
        })),
      };
    });
    const answers = askPython('export.py', { read: requests }, readSchema);
    read = new Map(cases.map(({ name }, i) => [name, answers[i]!]));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  function modelConfig(name: string): ModelConfig {
    const { checkpoint } = openFinishedModel(model(name));
    checkpoint.close();
    return checkpoint.config;
  }

  /** The default signature's outputs of a batch. */
  const outputsOf = (name: string, batch: number) => read.get(name)!.outputs[batch]!.serving_default!;

  function numbers(outputs: z.infer<typeof outputsSchema>, name: string): number[] {
    return outputs[name]!.values.map((value) => z.number().parse(value));
  }

  /** What a client makes of the signature's answer; the texts have no characters of two UTF-16 units. */
  function entitiesOf(outputs: z.infer<typeof outputsSchema>, text: string, row: number): Entity[] {
    const length = outputs.word_mask!.shape[1]!;
    const of = (name: string): (string | number)[] => outputs[name]!.values.slice(row * length, (row + 1) * length);
    const [mask, starts, ends, labels] = ['word_mask', 'starts', 'ends', 'labels'].map(of);
    const words: LabelledWord[] = [];
    mask!.forEach((isFirst, at) => {
      const [start, end] = [Number(starts![at]), Number(ends![at])];
      const word = isFirst === 1 || start < 0 ? undefined : words.pop();
      if (word !== undefined) words.push({ ...word, place: { ...word.place, end } });
      else if (isFirst === 1) words.push({ place: { start, end }, label: String(labels![at]) });
    });
    return joinEntities(text, words);
  }

  function expectClose(got: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
    expect(got.length, what).to.equal(expected.length);
    let largest = 0;
    for (let i = 0; i < got.length; i++) largest = Math.max(largest, Math.abs(got[i]! - expected[i]!));
    expect(largest, what).to.be.at.most(1e-5);
  }

  for (const { name, head, isForeign, rules } of cases) {
    it(`${name}: a SavedModel of core ops with nothing in it that is not needed, that saved_model_cli shows`, () => {
      const { methods, inputs, shown, foreign, unreachable, variables, warmup } = read.get(name)!;
      const expected = ['embedding', 'serving_default', 'serving_int64'];
      if (head !== 'token') expected.unshift('classification');
      if (takesTexts(name)) expected.push('text', 'tokenize', ...(head === 'token' ? [] : ['classify']));
      expect(Object.keys(methods).sort()).to.deep.equal(expected.sort());
      for (const [signature, types] of Object.entries(inputs)) {
        if (['classify', 'text', 'tokenize'].includes(signature)) {
          expect(types).to.deep.equal(['string']);
          continue;
        }
        const count = rules !== undefined && signature !== 'embedding' ? 4 : 3;
        const type = signature === 'serving_int64' ? 'int64' : 'int32';
        expect(types).to.deep.equal(Array.from({ length: count }, () => type));
      }
      for (const [signature, method] of Object.entries(methods)) {
        expect(method).to.equal(`tensorflow/serving/${signature === 'classify' ? 'classify' : 'predict'}`);
      }
      expect(new Set(Object.values(shown))).to.deep.equal(new Set([true]));
      expect({ foreign, unreachable }).to.deep.equal({ foreign: [], unreachable: [] });
      const finished = openFinishedModel(model(name));
      finished.checkpoint.close();
      const own = finishedNetwork(finished).variables.map(({ shape }) => shape.reduce((size, dim) => size * dim, 1));
      expect(variables).to.equal(own.reduce((sum, size) => sum + size, 0));
      const data = join(folder, 'saved-model', name, '1', 'variables');
      expect(readdirSync(data)).to.have.members(['variables.index', 'variables.data-00000-of-00001']);
      expect(statSync(join(data, 'variables.data-00000-of-00001')).size).to.equal(4 * variables);
      const { maxLength } = finished;
      expect(warmup).to.deep.equal([
        [1, 16],
        [1, maxLength],
        [8, maxLength],
      ]);
    });

    it(`${name}: the answers are those of t4`, () => {
      const finished = openFinishedModel(model(name));
      const served = servedLabels(finished);
      const own = loadFinishedModel(finished, 'fp32');
      finished.checkpoint.close();
      try {
        batches.get(name)!.forEach((batch, i) => {
          const { probabilities, labels } = ownAnswers(own, batch, served);
          const outputs = outputsOf(name, i);
          const what = `${batch.size} of ${batch.length}`;
          expectClose(numbers(outputs, rules === undefined ? 'probabilities' : 'path_scores'), probabilities, what);
          const ids = numbers(outputs, head === 'sets' ? 'chosen' : 'label_ids');
          expect(ids, what).to.deep.equal(Array.from(labels));
          const nameOf = (id: number, at: number): string =>
            head !== 'sets' ? (served.names[id] ?? '') : id === 1 ? served.names[at % served.names.length]! : '';
          expect(outputs.labels!.values).to.deep.equal(ids.map(nameOf));
        });
      } finally {
        own.dispose();
      }
    });

    if (isForeign) {
      it(`${name}: the answers are those of Transformers with its own export`, () => {
        batches.get(name)!.forEach((batch, i) => {
          const outputs = outputsOf(name, i);
          const { probabilities, label_ids: ids, path_scores: scores, embedding } = read.get(name)!.transformers![i]!;
          const what = `${batch.size} of ${batch.length}`;
          expectClose(numbers(outputs, 'probabilities'), probabilities, what);
          expectClose(numbers(read.get(name)!.outputs[i]!.embedding!, 'embedding'), embedding, what);
          if (scores !== undefined) expectClose(numbers(outputs, 'path_scores'), scores, what);
          if (ids === undefined) return;
          const mask = rules === undefined ? batch.attentionMask : batch.wordMask!;
          expect(numbers(outputs, 'label_ids'), what).to.deep.equal(ids.map((id, at) => (mask[at] === 1 ? id : -1)));
        });
      });
    }

    if (head === 'token' && takesTexts(name)) {
      it(`${name}: texts are answered with the entities that t4 predict finds`, async () => {
        const input = join(folder, 'entities.txt');
        writeFileSync(input, texts.map((text) => `${text}\n`).join(''));
        const ran = await t4('predict', '--checkpoint', model(name), '--input', input, '--precision', 'fp32');
        expect(ran.code, ran.stderr).to.equal(0);
        const answers = ran.stdout
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line) as unknown);
        expect(
          texts.map((text, row) => ({ entities: entitiesOf(read.get(name)!.texts!.text, text, row) })),
        ).to.deep.equal(answers);
        // The random weights of one of the models find nothing in these texts.
        if (name !== 'albert_zh-token') expect(JSON.stringify(answers)).to.contain('"label"');
      });
    }

    if (isForeign && rules === undefined && (head !== 'token' || ['bert', 'electra'].includes(name.split('-')[0]!))) {
      it(`${name}: Transformers' pipeline answers texts as t4 predict does`, async () => {
        const input = join(folder, 'texts.txt');
        writeFileSync(input, texts.map((text) => `${text}\n`).join(''));
        const ran = await t4('predict', '--checkpoint', model(name), '--input', input, '--precision', 'fp32');
        expect(ran.code, ran.stderr).to.equal(0);
        const { texts: own } = read.get(name)!;
        expect(own !== null).to.equal(takesTexts(name));
        const lines = ran.stdout.trimEnd().split('\n');
        expect(lines).to.have.length(texts.length);
        lines.forEach((line, i) => {
          const piped = read.get(name)!.pipeline![i]!;
          const answer: unknown = JSON.parse(line);
          if (Array.isArray(piped)) {
            const entity = z.object({ start: z.number(), end: z.number(), label: z.string() });
            const { entities } = z.object({ entities: z.array(entity) }).parse(answer);
            expect(entities.map(({ start, end, label }) => [start, end, label])).to.deep.equal(piped);
          } else {
            const { probabilities } = z.object({ probabilities: z.record(z.string(), z.number()) }).parse(answer);
            const order = Object.keys(probabilities);
            expect(Object.keys(piped)).to.have.members(order);
            expectClose(
              order.map((label) => probabilities[label]!),
              order.map((label) => piped[label]!),
              texts[i]!,
            );
            if (own === null) return;
            const all = numbers(own.text, 'probabilities').slice(order.length * i);
            const labels = ['LABEL_0', 'LABEL_1', 'LABEL_2'];
            expectClose(
              labels.map((_, label) => all[label]!),
              labels.map((label) => piped[label]!),
              texts[i]!,
            );
          }
        });
      });
    }
  }

  it('int64 inputs are answered alike', () => {
    for (const { name } of cases) {
      for (const { serving_default: main, serving_int64: wide } of read.get(name)!.outputs) {
        expect(wide).to.deep.equal(main);
      }
    }
  });

  it("TensorFlow Serving's Classify is answered as texts are", () => {
    for (const { name, head } of cases) {
      const { classified, texts: own } = read.get(name)!;
      expect(classified !== null, name).to.equal(takesTexts(name) && head !== 'token');
      if (classified === null) continue;
      expect(classified.scores).to.deep.equal(own!.text.probabilities);
      expect(classified.classes).to.deep.include({ shape: [texts.length, 3] });
      expect(classified.classes!.values.slice(0, 3)).to.deep.equal(
        read.get(name)!.outputs[0]!.classification!.classes!.values.slice(0, 3),
      );
    }
  });

  it('classification names each column and its probability', () => {
    for (const { name, head } of cases) {
      read.get(name)!.outputs.forEach(({ classification, serving_default: main }) => {
        if (head === 'token') {
          expect(classification).to.equal(undefined);
          return;
        }
        const { classes, scores } = classification!;
        expect(scores).to.deep.equal(main!.probabilities);
        const labels = name.startsWith('albert_zh') ? ['a', 'b', '三'] : ['LABEL_0', 'LABEL_1', 'LABEL_2'];
        expect(classes!.values).to.deep.equal(scores!.values.map((_, i) => labels[i % 3]));
      });
    }
  });
});
