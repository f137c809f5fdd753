import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { readConfigFile } from '../../src/checkpoints/config-file.js';
import { t4 } from '../support/t4.js';
import { askPython } from './python.js';

const corpus = [
  'The quick brown fox jumps over the lazy dog near Paris.',
  'Ada Lovelace wrote to Charles Babbage in London, 1843!',
  'Ein Café in Zürich; déjà vu, naïve, coöperate.',
  "She said: ``don't go there'' and left for New York.",
  '他们去了北京 and came back. 🙂 fine',
];
const texts = [
  ...corpus,
  'paris',
  'Unseen Ωmega  words\tand   blanks',
  'a'.repeat(30),
  '🙂🙂 Ada (Lovelace) e\u0301t ﬁne',
  // Longer than the model's positions.
  Array.from({ length: 60 }, (_, i) => ['Ada', 'London', 'fox', 'the'][i % 4]!).join(' '),
];
const pairs: [string, string][] = [
  ['The quick fox', 'jumps over Paris.'],
  [corpus[1]!, corpus[2]!],
  ['fox', Array.from({ length: 50 }, () => 'dog').join(' ')],
];
const masked = ['The quick [MASK] fox.', '[MASK] 🙂 wrote to [MASK] in London', 'Paris [MASK]'];

/** Sentences in words. None begins with an opening mark that a byte-level vocabulary would join to a blank. */
const sentences = [
  ...corpus.map((text) => text.split(' ').slice(0, 5)),
  Array.from('他们去北京。'),
  ['Ada'],
  ['Unseen', 'Ωmega', 'e\u0301t', 'ﬁne', '🙂'],
];
const tags = ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC', 'O', 'O'];
const gold = sentences.map((sentence, s) => sentence.map((_, word) => tags[(s * 3 + word * 5) % tags.length]!));

const families = ['bert', 'albert', 'distilbert', 'roberta', 'electra'] as const;

const reportSchema = z.object({
  numbers: z.record(
    z.string(),
    z.object({ precision: z.number(), recall: z.number(), 'f1-score': z.number(), support: z.number() }),
  ),
  text: z.string(),
});

const scoresSchema = { precision: z.number(), recall: z.number(), f1: z.number() };
const testedSchema = z.object({
  ...scoresSchema,
  entities: z.number(),
  types: z.record(z.string(), z.object({ ...scoresSchema, support: z.number() })),
  strict: z.object({ scheme: z.literal('IOB2'), ...scoresSchema }),
});

const answerSchema = z.record(
  z.string(),
  z.object({
    sequence: z.array(z.array(z.number())),
    sets: z.array(z.record(z.string(), z.number())),
    token: z.array(z.array(z.tuple([z.number(), z.number(), z.string()]))),
    words: z.array(z.array(z.array(z.tuple([z.number(), z.number(), z.string()])))),
    tagged: z.object({
      labels: z.array(z.array(z.string())),
      report: z.object({ lenient: reportSchema, strict: reportSchema }),
    }),
  }),
);
type Answer = z.infer<typeof answerSchema>[string];

const labelSchema = z.object({
  label: z.string(),
  probability: z.number(),
  probabilities: z.record(z.string(), z.number()),
});
const setSchema = z.strictObject({ labels: z.array(z.string()), probabilities: z.record(z.string(), z.number()) });
const entitiesSchema = z.strictObject({
  entities: z.array(z.strictObject({ start: z.number(), end: z.number(), label: z.string(), text: z.string() })),
});
const masksSchema = z.strictObject({
  text: z.string(),
  masks: z.array(
    z.strictObject({
      position: z.number(),
      candidates: z.array(
        z.strictObject({ token: z.string(), id: z.number(), probability: z.number(), text: z.string() }),
      ),
    }),
  ),
});

describe('t4 predict beside Transformers', () => {
  let folder: string;
  let answers: Record<string, Answer>;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-predict-'));
    answers = askPython('predict.py', { folder, corpus, texts, pairs, masked, sentences, gold }, answerSchema);
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  async function predict<T>(schema: z.ZodType<T>, ...argv: string[]): Promise<T[]> {
    const { code, stdout, stderr } = await t4('predict', '--precision', 'fp32', ...argv);
    expect(code, stderr).to.equal(0);
    return stdout
      .trimEnd()
      .split('\n')
      .map((line) => schema.parse(JSON.parse(line)));
  }

  const jsonl = (name: string, rows: readonly object[]): string => {
    const path = join(folder, name);
    writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    return path;
  };

  for (const family of families) {
    it(`${family}: the probabilities of texts and pairs are the same`, async () => {
      const model = join(folder, `${family}-sequence`);
      const single = jsonl(
        'texts.jsonl',
        texts.map((text) => ({ text })),
      );
      const pair = jsonl(
        'pairs.jsonl',
        pairs.map(([text, other]) => ({ text, other })),
      );
      const got = [
        ...(await predict(labelSchema, '--checkpoint', model, '--input', single)),
        ...(await predict(labelSchema, '--checkpoint', model, '--input', pair, '--pair-column', 'other')),
      ];
      const expected = answers[family]!.sequence;
      expect(got).to.have.length(expected.length);
      got.forEach(({ label, probability, probabilities }, i) => {
        expect(Object.keys(probabilities)).to.deep.equal(['LABEL_0', 'LABEL_1', 'LABEL_2']);
        Object.values(probabilities).forEach((value, id) => {
          expect(value, `example ${i}`).to.be.closeTo(expected[i]![id]!, 1e-5);
        });
        expect(probabilities[label]).to.equal(probability);
        expect(probability).to.equal(Math.max(...Object.values(probabilities)));
      });
    });

    it(`${family}: the probabilities of labels by themselves are the same, and those from 0.5 on are given`, async () => {
      const input = jsonl(
        'sets.jsonl',
        texts.map((text) => ({ text })),
      );
      const got = await predict(setSchema, '--checkpoint', join(folder, `${family}-sets`), '--input', input);
      const expected = answers[family]!.sets;
      expect(got).to.have.length(expected.length);
      got.forEach(({ labels, probabilities }, i) => {
        expect(Object.keys(probabilities)).to.deep.equal(['LABEL_0', 'LABEL_1', 'LABEL_2']);
        for (const [label, probability] of Object.entries(probabilities)) {
          expect(probability, `example ${i}`).to.be.closeTo(expected[i]![label]!, 1e-5);
        }
        const given = Object.keys(probabilities).filter((label) => expected[i]![label]! >= 0.5);
        expect(labels).to.deep.equal(given);
      });
    });

    it(`${family}: the entities are the same`, async () => {
      const input = jsonl(
        'tokens.jsonl',
        texts.map((text) => ({ text })),
      );
      const answered = await predict(entitiesSchema, '--checkpoint', join(folder, `${family}-token`), '--input', input);
      const expected = answers[family]!.token;
      expect(expected.flat().length).to.be.above(10);
      answered.forEach(({ entities }, i) => {
        // Where a token's place is not its own (`` for a quote, a ligature for two letters), and at a tab, Transformers'
        // guess at words by blanks takes a part for a word, or joins two.
        if (family === 'albert' && /``|\t|ﬁ/.test(texts[i]!)) return;
        const characters = Array.from(texts[i]!);
        // Transformers leaves the blank before a SentencePiece token in.
        const trimmed = expected[i]!.map(([start, end, label]) => {
          const blanks = /^\s*/u.exec(characters.slice(start, end).join(''))![0].length;
          return [start + blanks, end, label];
        });
        const got = entities.map(({ start, end, label }) => [start, end, label]);
        // Transformers cuts the last one to the model's positions; t4 reads it to its end.
        if (i === texts.length - 1) {
          expect(Number(got.at(-1)?.[0] ?? 0)).to.be.at.least(Number(trimmed.at(-1)?.[0] ?? 0));
          expect(got).to.deep.equal([...got].sort(([a], [b]) => Number(a) - Number(b)));
        } else {
          expect(got, texts[i]).to.deep.equal(trimmed);
        }
        for (const { start, end, text } of entities) expect(characters.slice(start, end).join('')).to.equal(text);
      });
    });

    it(`${family}: t4 test finds the labels of words, and measures them as seqeval does`, async () => {
      const data = join(folder, 'gold.conll');
      const blocks = sentences.map((words, s) => words.map((word, w) => `${word} ${gold[s]![w]!}\n`).join(''));
      writeFileSync(data, blocks.join('\n'));
      const output = join(folder, `${family}-tested`);
      const model = join(folder, `${family}-token`);
      const ran = await t4('test', '--checkpoint', model, '--data', data, '--output', output, '--precision', 'fp32');
      expect(ran.code, ran.stderr).to.equal(0);
      const { labels, report } = answers[family]!.tagged;
      const predictions = readFileSync(join(output, 'predictions.jsonl'), 'utf8').trimEnd().split('\n');
      const lineSchema = z.object({ words: z.array(z.string()), predicted: z.array(z.string()) });
      const got = predictions.map((line) => lineSchema.parse(JSON.parse(line)));
      expect(got.map(({ words }) => words)).to.deep.equal(sentences);
      expect(got.map(({ predicted }) => predicted)).to.deep.equal(labels);
      const tested = testedSchema.parse(JSON.parse(readFileSync(join(output, 'test.json'), 'utf8')));
      const equal = (scores: typeof tested.strict | typeof tested, expected: typeof report.lenient): void => {
        const micro = expected.numbers['micro avg']!;
        // seqeval rounds on another way to the same number.
        expect(scores.precision).to.be.closeTo(micro.precision, 1e-12);
        expect(scores.recall).to.be.closeTo(micro.recall, 1e-12);
        expect(scores.f1).to.be.closeTo(micro['f1-score'], 1e-12);
      };
      equal(tested, report.lenient);
      equal(tested.strict, report.strict);
      expect(tested.types.PER!.support).to.equal(report.lenient.numbers.PER!.support);
      // seqeval ends with an empty line.
      expect(ran.stdout).to.contain(report.lenient.text.trimEnd());
    });

    it(`${family}: the words for masks are the same`, async () => {
      const input = join(folder, 'masked.txt');
      writeFileSync(input, masked.map((text) => `${text}\n`).join(''));
      const model = join(folder, `${family}-words`);
      const got = await predict(masksSchema, '--task', 'fill-mask', '--checkpoint', model, '--input', input);
      const expected = answers[family]!.words;
      expect(got.map(({ text }) => text)).to.deep.equal(masked);
      got.forEach(({ text, masks }, i) => {
        expect(masks).to.have.length(expected[i]!.length);
        masks.forEach(({ position, candidates }, m) => {
          expect(
            Array.from(text)
              .slice(position, position + 6)
              .join(''),
          ).to.equal('[MASK]');
          expect(candidates.map(({ id }) => id)).to.deep.equal(expected[i]![m]!.map(([id]) => id));
          candidates.forEach((candidate, c) => {
            const [, probability, word] = expected[i]![m]![c]!;
            expect(candidate.probability).to.be.closeTo(probability, 1e-5);
            expect(candidate.text.trim()).to.equal(word.trim());
          });
        });
      });
    });

    it(`${family}: a model for words labels nothing, and a classifier fills no masks`, async () => {
      const words = await t4('predict', '--checkpoint', join(folder, `${family}-words`), '--text', 'fox');
      expect(words).to.include({ code: 7, stdout: '' });
      expect(words.stderr).to.match(/no head that gives labels \(it is a \w+ForMaskedLM\)/);
      const classifier = join(folder, `${family}-sequence`);
      const masks = await t4('predict', '--task', 'fill-mask', '--checkpoint', classifier, '--text', 'a [MASK]');
      expect(masks).to.include({ code: 7, stdout: '' });
      expect(masks.stderr).to.contain('has no language-model head');
    });
  }

  it('t4 test measures a model of others by its labels', async () => {
    const model = join(folder, 'bert-sequence');
    const { labels } = readConfigFile(join(model, 'config.json'), 'no config');
    expect(labels ?? ['LABEL_0', 'LABEL_1', 'LABEL_2']).to.have.length(3);
    const gold = answers.bert!.sequence.slice(0, texts.length).map((scores, i) => ({
      sentence: texts[i],
      gold: `LABEL_${scores.indexOf(Math.max(...scores))}`,
    }));
    const data = jsonl('gold.jsonl', gold);
    const columns = ['--text-column', 'sentence', '--label-column', 'gold'];
    const argv = ['--checkpoint', model, '--data', data, '--output', join(folder, 'tested'), '--precision', 'fp32'];
    const ran = await t4('test', ...argv, ...columns, '--json');
    expect(ran.code, ran.stderr).to.equal(0);
    expect(z.object({ accuracy: z.number(), examples: z.number() }).parse(JSON.parse(ran.stdout))).to.include({
      accuracy: 1,
      examples: texts.length,
    });
    const predictions = readFileSync(join(folder, 'tested', 'predictions.jsonl'), 'utf8')
      .trimEnd()
      .split('\n');
    expect(predictions).to.have.length(texts.length);
    const tokens = await t4('test', '--checkpoint', join(folder, 'bert-token'), '--data', data, ...columns);
    expect(tokens, tokens.stderr).to.include({ code: 3, stdout: '' });
    expect(tokens.stderr).to.contain('gold.jsonl:1: got gold "LABEL_');
  });
});
