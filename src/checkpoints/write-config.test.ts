import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { activationNames } from '../models/activation-names.js';
import type { ModelConfig } from '../models/model-config.js';
import { openCheckpoint } from './open.js';
import { targetTensors, writeModelFiles, writeWeights, type WrittenFormat } from './write-model.js';
import { planWrite } from './write-plan.js';

const tanhForms = ['gelu_new', 'gelu_pytorch_tanh', 'gelu_fast'];
const erfForms = ['gelu', 'gelu_python'];
const fileSchema = z.looseObject({ hidden_act: z.string(), model_type: z.string().optional() });

describe('the configuration of a written model', () => {
  let folder: string;
  let count = 0;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-write-config-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  /** The fixture with other settings. */
  function source(settings: object): string {
    const path = join(folder, `source-${count++}`);
    cpSync(join('test', 'fixtures', 'checkpoints', 'huggingface'), path, { recursive: true });
    const config = join(path, 'config.json');
    const content: unknown = JSON.parse(readFileSync(config, 'utf8'));
    writeFileSync(config, JSON.stringify({ ...z.looseObject({}).parse(content), ...settings }));
    return path;
  }

  function written(from: string, format: WrittenFormat): string {
    const checkpoint = openCheckpoint(from);
    try {
      const plan = planWrite(checkpoint);
      const path = join(folder, `written-${count++}`);
      cpSync(join('test', 'fixtures', 'tokenization', 'vocab'), path, { recursive: true });
      writeModelFiles(checkpoint, plan, format, path);
      const steps = writeWeights(path, format, targetTensors(checkpoint, plan, format).tensors);
      while (steps.next().done !== true);
      return path;
    } finally {
      checkpoint.close();
    }
  }

  function configOf(path: string): ModelConfig {
    const checkpoint = openCheckpoint(path);
    checkpoint.close();
    return checkpoint.config;
  }

  const fileOf = (path: string, name: string): z.infer<typeof fileSchema> =>
    fileSchema.parse(JSON.parse(readFileSync(join(path, name), 'utf8')));

  for (const activation of activationNames) {
    it(`computes the same in all formats: ${activation}`, () => {
      const from = source({ hidden_act: activation });
      const bundle = written(from, 'tensorflow');
      const same = tanhForms.includes(activation) ? tanhForms : erfForms.includes(activation) ? erfForms : [activation];
      for (const path of [bundle, written(bundle, 'huggingface'), written(from, 'huggingface')]) {
        const [read, before] = [configOf(path), configOf(from)];
        expect('hidden_act' in read && read.hidden_act).to.be.oneOf(same);
        const common = { hidden_act: activation, tie_word_embeddings: true };
        expect({ ...read, ...common }).to.deep.equal({ ...before, ...common });
      }
    });
  }

  it("is Google's own where Google's code computes it", () => {
    for (const activation of tanhForms) {
      const file = fileOf(written(source({ hidden_act: activation }), 'tensorflow'), 'bert_config.json');
      expect([file.hidden_act, file.model_type]).to.deep.equal(['gelu', undefined]);
    }
  });

  it("is in Transformers' words where it does not", () => {
    for (const settings of [
      { hidden_act: 'gelu' },
      { hidden_act: 'gelu_new', layer_norm_eps: 1e-5 },
      { hidden_act: 'silu' },
    ]) {
      const file = fileOf(written(source(settings), 'tensorflow'), 'bert_config.json');
      expect([file.hidden_act, file.model_type]).to.deep.equal([settings.hidden_act, 'bert']);
    }
  });

  it('keeps what it does not know, and not what was said of the old file', () => {
    const from = source({
      directionality: 'bidi',
      torch_dtype: 'float16',
      transformers_version: '4.0.0',
      auto_map: {},
    });
    const file = fileOf(written(written(from, 'tensorflow'), 'huggingface'), 'config.json');
    expect(file).to.include({ directionality: 'bidi', dtype: 'float32' });
    expect(file).not.to.have.any.keys('torch_dtype', 'transformers_version', 'auto_map');
    expect(file.architectures).to.deep.equal(['BertForSequenceClassification']);
    expect(file.id2label).to.deep.equal({ 0: 'good', 1: 'bad', 2: 'other' });
    expect(file.label2id).to.deep.equal({ good: 0, bad: 1, other: 2 });
  });
});
