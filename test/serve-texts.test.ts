import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import type { ModelCard } from '../src/checkpoints/model-folder.js';
import { modelConfigSchema } from '../src/models/model-config.js';
import { sequenceClassifier } from '../src/models/network.js';
import { loadTokenizer } from '../src/tokenization/load.js';
import { writeRandomModel } from './support/random-model.js';
import { ask, serveTiny, tinyExport } from './support/served.js';
import { t4 } from './support/t4.js';
import { tinyKinds } from './support/tiny-runs.js';
import { sentences } from './support/tiny-task.js';

/** As long as a float32 and its JSON may differ. */
function expectClose(got: unknown, expected: unknown): void {
  if (typeof expected === 'number') expect(got).to.be.closeTo(expected, 1e-5);
  else if (Array.isArray(expected)) {
    expect(got).to.have.length(expected.length);
    expected.forEach((item, i) => {
      expectClose((got as unknown[])[i], item);
    });
  } else if (typeof expected === 'object' && expected !== null) {
    expect(got).to.have.all.keys(Object.keys(expected));
    for (const [key, value] of Object.entries(expected)) expectClose((got as Record<string, unknown>)[key], value);
  } else expect(got).to.equal(expected);
}

describe('t4 serve: texts', () => {
  const texts = [
    ...sentences(24, 9).map(({ text }) => text),
    'A film — so lovely, and then 好看 too!',
    'a '.repeat(60).trim(),
  ];
  const pairs = texts.map((text, i) => ({ text, pair: texts[(i * 5) % texts.length]! }));

  /** What t4 predict says of a file, a text a line. */
  async function predicted(checkpoint: string, input: string): Promise<unknown[]> {
    const precision = ['--precision', 'fp32'];
    const ran = await t4('predict', '--checkpoint', checkpoint, '--input', input, '--format', 'lines', ...precision);
    expect(ran.code, ran.stderr).to.equal(0);
    return ran.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
  }

  for (const kind of tinyKinds) {
    it(`${kind}: are answered as t4 predict answers them, alone and together`, async () => {
      const { run, folder } = await tinyExport(kind);
      const input = join(folder, '..', 'texts.txt');
      writeFileSync(
        input,
        pairs.map(({ text, pair }) => (kind === 'pairs' ? `${text}\t${pair}\n` : `${text}\n`)).join(''),
      );
      const expected = await predicted(run, input);
      const serving = await serveTiny(folder);
      try {
        const url = `${serving.url}/v1/models/tiny:predict`;
        const instances = kind === 'pairs' ? pairs : texts;
        expectClose((await ask(url, { instances })).json, { predictions: expected });
        const alone = await Promise.all(instances.map((instance) => ask(url, { instances: [instance] })));
        expectClose(
          alone.map(({ json }) => json),
          expected.map((answer) => ({ predictions: [answer] })),
        );
        const { status, json } = await ask(url, { instances: [kind === 'pairs' ? 'a' : { text: 'a', pair: 'b' }] });
        expect(status).to.equal(400);
        expect(json).to.have.all.keys('error');
      } finally {
        await serving.close();
      }
    });
  }

  for (const [name, tokenizer, family] of [
    ['byte-level BPE', 'roberta', { model_type: 'roberta' }],
    ["SentencePiece's unigram", 'albert', { model_type: 'albert', embedding_size: 8 }],
  ] as const) {
    it(`${name}: no signature takes them, which the export says; they are answered all the same`, async () => {
      const folder = mkdtempSync(join(tmpdir(), 't4-texts-'));
      try {
        const files = fileURLToPath(new URL(`../../test/fixtures/tokenization/${tokenizer}`, import.meta.url));
        const config = modelConfigSchema.parse({
          ...family,
          vocab_size: loadTokenizer(files).vocabSize,
          hidden_size: 16,
          num_hidden_layers: 1,
          num_attention_heads: 2,
          intermediate_size: 24,
          max_position_embeddings: 40,
        });
        const card: ModelCard = {
          version: 1,
          task: 'classification',
          labels: ['a', 'b', 'c'],
          maxLength: 20,
          precision: 'fp32',
        };
        const [model, output] = [join(folder, 'model'), join(folder, 'tiny')];
        writeRandomModel(model, { config, network: sequenceClassifier(config, 3), card }, files, 500);
        const ran = await t4('export', '--checkpoint', model, '--format', 'saved-model', '--output', output);
        expect(ran.code, ran.stderr).to.equal(0);
        expect(ran.stderr).to.match(
          /^warning: no signature takes texts, because its tokenizer is (BPE|Unigram), not WordPiece: clients of TensorFlow Serving send token ids, those of t4 serve may send texts$/m,
        );
        expect(ran.stdout)
          .to.contain('serving_default')
          .and.to.not.match(/^(text|tokenize) /m);
        const input = join(folder, 'texts.txt');
        writeFileSync(input, texts.map((text) => `${text}\n`).join(''));
        const expected = await predicted(model, input);
        const serving = await serveTiny(output);
        try {
          const { json } = await ask(`${serving.url}/v1/models/tiny:predict`, { instances: texts });
          expectClose(json, { predictions: expected });
        } finally {
          await serving.close();
        }
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }
});
