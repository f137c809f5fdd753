import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { UserError } from '../errors.js';
import { modelConfigSchema } from '../models/model-config.js';
import { maskedLanguageModel, sequenceClassifier } from '../models/network.js';
import { planLoad } from './checkpoint.js';
import { writeJson } from './json.js';
import { writeModelHead, writeModelWeights } from './model-folder.js';
import { openCheckpoint } from './open.js';
import { writeTensorBundle } from './tensor-bundle.js';
import { targetTensors, writeModelFiles, writeWeights } from './write-model.js';
import { planWrite } from './write-plan.js';

// Names and shapes as in the releases; made by test/fixtures/models/make.py.
const fixture = z
  .object({
    config: z.record(z.string(), z.unknown()),
    weights: z.record(z.string(), z.object({ shape: z.array(z.number()), values: z.array(z.number()) })),
  })
  .parse(JSON.parse(readFileSync('test/fixtures/models/families/albert_zh.json', 'utf8')));

/** As `albert_config_base.json` of albert_zh: no model_type, Google's gelu, keys that nothing reads. */
const releasedConfig = {
  attention_probs_dropout_prob: 0,
  directionality: 'bidi',
  hidden_act: 'gelu',
  hidden_dropout_prob: 0,
  hidden_size: 8,
  embedding_size: 6,
  initializer_range: 0.02,
  intermediate_size: 11,
  max_position_embeddings: 13,
  num_attention_heads: 2,
  num_hidden_layers: 3,
  pooler_fc_size: 768,
  pooler_type: 'first_token_transform',
  type_vocab_size: 3,
  vocab_size: 31,
};

const labels = 5;

describe("an ALBERT of albert_zh's first format", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-albert-zh-'));
    writeReleased(releasedConfig);
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  /** The folder of a release, with the heads of its pretraining. */
  function writeReleased(config: object): void {
    writeJson(join(folder, 'albert_config_base.json'), config);
    const pretrained = Object.entries(fixture.weights).filter(([name]) => !name.startsWith('classifier/'));
    const tensors = pretrained.map(([name, { shape, values }]) => ({
      name,
      shape,
      values: () => Float32Array.from(values),
    }));
    const moments = { name: 'bert/pooler/dense/bias/adam_m', shape: [8], values: () => new Float32Array(8) };
    writeTensorBundle(join(folder, 'albert_model.ckpt'), [...tensors, moments]);
  }

  it("is told by its names, and its configuration is read in Google's words", () => {
    const checkpoint = openCheckpoint(folder);
    expect(checkpoint.config).to.include({
      model_type: 'albert_zh',
      hidden_act: 'gelu_new',
      embedding_size: 6,
      layer_norm_eps: 1e-12,
      classifier_dropout_prob: 0.1,
    });
    checkpoint.close();
  });

  it('gives every weight of its encoder and heads', () => {
    const checkpoint = openCheckpoint(folder);
    const words = planLoad(checkpoint, maskedLanguageModel(checkpoint.config).variables, true);
    expect(words.fresh).to.deep.equal([]);
    expect(words.unused).to.have.members(['bert/pooler/dense/kernel', 'bert/pooler/dense/bias']);
    const classifier = planLoad(checkpoint, sequenceClassifier(checkpoint.config, labels).variables, true);
    expect(classifier.fresh).to.deep.equal(['classifier/kernel', 'classifier/bias']);
    for (const { spec, read } of [...words.loaded, ...classifier.loaded]) {
      expect([...read()], spec.name).to.deep.equal([...Float32Array.from(fixture.weights[spec.name]!.values)]);
    }
    checkpoint.close();
  });

  it('takes the embedding size from the weights where the configuration does not say it', () => {
    writeReleased({ ...releasedConfig, embedding_size: undefined });
    const checkpoint = openCheckpoint(folder);
    expect(checkpoint.config).to.include({ model_type: 'albert_zh', embedding_size: 6 });
    checkpoint.close();
  });

  it('is refused by name where its layers normalise first', () => {
    writeReleased({ ...releasedConfig, ln_type: 'postln' });
    openCheckpoint(folder).close();
    writeReleased({ ...releasedConfig, ln_type: 'preln' });
    expect(() => openCheckpoint(folder)).to.throw(UserError, 'ln_type: got "preln", only postln is supported');
  });

  it('names what is missing or of another shape', () => {
    writeReleased({ ...releasedConfig, embedding_size: 7 });
    const checkpoint = openCheckpoint(folder);
    const { variables } = sequenceClassifier(checkpoint.config, labels);
    expect(() => planLoad(checkpoint, variables, true)).to.throw(
      UserError,
      'bert/embeddings/word_embeddings_2 is [6, 8], expected [7, 8]',
    );
    checkpoint.close();
  });

  it('is the same again from a model folder that t4 wrote', () => {
    const config = modelConfigSchema.parse(fixture.config);
    const { variables } = sequenceClassifier(config, labels);
    const saved = join(folder, 'model');
    mkdirSync(saved);
    writeFileSync(join(folder, 'vocab.txt'), '[PAD]\n');
    const names = Array.from({ length: labels }, (_, id) => `label ${id}`);
    const card = { labels: names, maxLength: 8, columns: { text: 'text', label: 'label' } };
    writeModelHead(saved, config, { version: 1, task: 'classification', precision: 'fp32', ...card }, [
      join(folder, 'vocab.txt'),
    ]);
    writeModelWeights(saved, config, variables, (name) => Float32Array.from(fixture.weights[name]!.values));
    const checkpoint = openCheckpoint(saved);
    expect(checkpoint.format).to.equal('huggingface');
    expect(checkpoint.labels).to.deep.equal(names);
    expect(checkpoint.config).to.deep.include(config);
    const plan = planLoad(checkpoint, variables, true);
    expect([plan.fresh, plan.unused]).to.deep.equal([[], []]);
    for (const { spec, read } of plan.loaded) {
      expect([...read()], spec.name).to.deep.equal([...Float32Array.from(fixture.weights[spec.name]!.values)]);
    }
    checkpoint.close();
  });

  it('is converted to its own format, and not to one of Transformers', () => {
    const checkpoint = openCheckpoint(folder);
    const plan = planWrite(checkpoint);
    expect(() => targetTensors(checkpoint, plan, 'huggingface')).to.throw(UserError, 'has no class in Transformers');
    const written = join(folder, 'written');
    mkdirSync(written);
    writeModelFiles(checkpoint, plan, 'tensorflow', written);
    for (const tensor of writeWeights(written, 'tensorflow', targetTensors(checkpoint, plan, 'tensorflow').tensors)) {
      expect(fixture.weights).to.have.property(tensor.name);
    }
    const again = openCheckpoint(written);
    expect(again.config).to.deep.equal(checkpoint.config);
    expect(again.tensors.size).to.equal(checkpoint.tensors.size);
    again.close();
    checkpoint.close();
  });
});
