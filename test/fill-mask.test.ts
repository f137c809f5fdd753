import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { expect } from 'chai';
import { z } from 'zod';
import { main } from '../src/cli.js';
import { findFairseqFiles, writeFairseqVocabulary } from '../src/tokenization/fairseq.js';
import { copyFixture, wordPieces } from './support/formats.js';
import { t4 } from './support/t4.js';

const fixtures = join('test', 'fixtures', 'checkpoints');

const answerSchema = z.object({
  text: z.string(),
  masks: z.array(
    z.object({
      position: z.number(),
      candidates: z.array(z.object({ token: z.string(), id: z.number(), probability: z.number(), text: z.string() })),
    }),
  ),
});

describe('t4 predict --task fill-mask', () => {
  let folder: string;
  const at = (name: string): string => join(folder, name);

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-masks-'));
    for (const format of ['tensorflow', 'fairseq'] as const) {
      copyFixture(format, at(format));
      mkdirSync(at(`${format}-expected`));
      // What Transformers saved of the same model.
      cpSync(join(fixtures, format, 'expected.safetensors'), at(`${format}-expected/model.safetensors`));
    }
    writeFileSync(at('tensorflow-expected/vocab.txt'), wordPieces.join('\n'));
    const google = z.looseObject({}).parse(JSON.parse(readFileSync(at('tensorflow/bert_config.json'), 'utf8')));
    const bert = { ...google, model_type: 'bert', hidden_act: 'gelu_new' };
    writeFileSync(at('tensorflow-expected/config.json'), JSON.stringify(bert));

    writeFairseqVocabulary(findFairseqFiles(at('fairseq'))!, at('fairseq-expected'));
    const sizes = { ...bert, type_vocab_size: 1, layer_norm_eps: 1e-5, pad_token_id: 1 };
    const roberta = { ...sizes, model_type: 'roberta', hidden_act: 'gelu' };
    writeFileSync(at('fairseq-expected/config.json'), JSON.stringify(roberta));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  for (const [format, text, more] of [
    ['tensorflow', 'paris is [MASK] ab<mask>.', '<mask> cd'],
    ['fairseq', 'par is<mask>. [MASK]', '[MASK]'],
  ] as const) {
    it(`gives of a checkpoint of ${format} what the same weights of Transformers give`, async () => {
      const input = at(`${format}.txt`);
      writeFileSync(input, `${text}\n${more}\n`);
      const answers = [];
      for (const name of [format, `${format}-expected`]) {
        const argv = ['--checkpoint', at(name), '--input', input, '--precision', 'fp32', '--top', '37'];
        const ran = await t4('predict', '--task', 'fill-mask', ...argv);
        expect(ran.code, ran.stderr).to.equal(0);
        answers.push(
          ran.stdout
            .trimEnd()
            .split('\n')
            .map((line) => answerSchema.parse(JSON.parse(line))),
        );
      }
      const [got, expected] = answers;
      expect(got!.map(({ masks }) => masks.length)).to.deep.equal([2, 1]);
      expect(got).to.deep.equal(expected);
      for (const { candidates } of got!.flatMap(({ masks }) => masks)) {
        const total = candidates.reduce((sum, { probability }) => sum + probability, 0);
        expect(total).to.be.closeTo(1, 1e-5);
        expect(new Set(candidates.map(({ id }) => id)).size).to.equal(37);
      }
    });
  }

  it('is a table on a terminal, one for each mask', async () => {
    let stdout = '';
    const terminal = new Writable({
      write(chunk: Buffer, _encoding, done) {
        stdout += chunk.toString();
        done();
      },
    });
    const messages = new Writable({
      write(_chunk, _encoding, done) {
        done();
      },
    });
    const io = { stdout: Object.assign(terminal, { isTTY: true }), stderr: messages, env: {}, now: () => 0 };
    const argv = ['--checkpoint', at('tensorflow'), '--text', 'paris is [MASK] ab[MASK]', '--top', '3'];
    expect(await main(['predict', '--task', 'fill-mask', ...argv], io)).to.equal(0);
    const [text, ...lines] = stdout.split('\n');
    expect(text).to.equal('paris is [MASK] ab[MASK]');
    const row = /^ *0\.\d{4} {2}\S+ +\d+$/;
    const shape = [/^at 9:$/, row, row, row, /^at 18:$/, row, row, row, /^$/, /^$/];
    expect(lines).to.have.length(shape.length);
    shape.forEach((pattern, i) => expect(lines[i]).to.match(pattern));
  });

  it('says where a format has no head for masked words', async () => {
    const argv = ['--checkpoint', join(fixtures, 'huggingface'), '--text', '[MASK]'];
    const ran = await t4('predict', '--task', 'fill-mask', ...argv);
    expect(ran).to.include({ code: 7, stdout: '' });
    expect(ran.stderr).to.contain('has no language-model head');
    expect(ran.stderr).to.contain('cls.predictions.transform.dense.weight');
  });
});
