import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { bertConfigSchema } from '../models/bert-config.js';
import { sequenceClassifier } from '../models/network.js';
import { planLoad } from './checkpoint.js';
import { parseConfig } from './config-file.js';
import { openHuggingFace } from './huggingface.js';
import { writeJson } from './json.js';
import { writeModelHead, writeModelWeights } from './model-folder.js';
import { openSafetensors, writeSafetensors } from './safetensors.js';

/** All sizes differ. */
const config = bertConfigSchema.parse({
  model_type: 'bert',
  vocab_size: 31,
  hidden_size: 8,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 11,
  max_position_embeddings: 13,
  type_vocab_size: 3,
});
const labels = ['a', 'b', 'c', 'd', 'e'];
const specs = sequenceClassifier(config, labels.length).variables;

/** Values that tell every position of every variable from every other. */
const valuesOf = (name: string): Float32Array => {
  const index = specs.findIndex((spec) => spec.name === name);
  const size = specs[index]!.shape.reduce((product, dim) => product * dim, 1);
  return Float32Array.from({ length: size }, (_, i) => index + i / 4096);
};

describe('a Hugging Face folder', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-huggingface-'));
    const card = { version: 1, task: 'classification', labels, maxLength: 13, precision: 'fp32' } as const;
    writeModelHead(folder, config, { ...card, columns: { text: 0, label: 1 } }, []);
    writeModelWeights(folder, config, specs, valuesOf);
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  it('gives back every weight that was written, kernels [in, out]', () => {
    const checkpoint = openHuggingFace(folder);
    const { loaded, fresh, unused } = planLoad(checkpoint, specs, true);
    expect(loaded.map(({ spec }) => spec.name)).to.deep.equal(specs.map(({ name }) => name));
    for (const { spec, read } of loaded) expect(read(), spec.name).to.deep.equal(valuesOf(spec.name));
    expect([fresh, unused]).to.deep.equal([[], []]);
    expect(checkpoint.labels).to.deep.equal(labels);
    checkpoint.close();
  });

  it('stores a kernel as PyTorch does, [out, in]', () => {
    const file = openSafetensors(join(folder, 'model.safetensors'));
    const stored = file.tensors.get('bert.encoder.layer.0.intermediate.dense.weight')!;
    expect(stored.shape).to.deep.equal([11, 8]);
    const ours = valuesOf('bert/encoder/layer_0/intermediate/dense/kernel'); // [8, 11]
    expect(stored.read()[1]).to.equal(ours[11]);
    file.close();
  });

  /** Writes the tensors again under other names and into other files. */
  function rewrite(place: (name: string) => { file: string; name: string } | undefined): void {
    const file = openSafetensors(join(folder, 'model.safetensors'));
    const shards = new Map<string, Parameters<typeof writeSafetensors>[1][number][]>();
    for (const tensor of file.tensors.values()) {
      const target = place(tensor.name);
      if (target === undefined) continue;
      const values = tensor.read();
      const list = shards.get(target.file) ?? [];
      list.push({ name: target.name, shape: tensor.shape, values: () => values });
      shards.set(target.file, list);
    }
    file.close();
    rmSync(join(folder, 'model.safetensors'));
    for (const [name, tensors] of shards) writeSafetensors(join(folder, name), tensors);
    if (shards.has('model.safetensors')) return;
    const entries = [...shards].flatMap(([name, tensors]) => tensors.map((tensor) => [tensor.name, name] as const));
    const index = { weight_map: Object.fromEntries(entries) };
    writeJson(join(folder, 'model.safetensors.index.json'), index);
  }

  it('may be sharded', () => {
    rewrite((name) => ({ file: name.includes('layer.1') ? 'b.safetensors' : 'a.safetensors', name }));
    const checkpoint = openHuggingFace(folder);
    const { loaded } = planLoad(checkpoint, specs, true);
    for (const { spec, read } of loaded) expect(read(), spec.name).to.deep.equal(valuesOf(spec.name));
    expect(loaded).to.have.length(specs.length);
    checkpoint.close();
  });

  it('may be an encoder alone, without prefix, in the old spelling: pooler and head are fresh, others unused', () => {
    rewrite((name) => {
      if (name.includes('pooler')) return undefined;
      const plain = name.replace(/^bert\./, '').replace('LayerNorm.weight', 'LayerNorm.gamma');
      return { file: 'model.safetensors', name: plain.replace('classifier.', 'cls.') };
    });
    const checkpoint = openHuggingFace(folder);
    const { fresh, unused } = planLoad(checkpoint, specs, true);
    const dense = ['bert/pooler/dense/kernel', 'bert/pooler/dense/bias'];
    expect(fresh).to.deep.equal([...dense, 'classifier/kernel', 'classifier/bias']);
    expect(unused).to.deep.equal(['cls.weight', 'cls.bias']);
    checkpoint.close();
  });

  it('keeps its head to itself where the labels are others', () => {
    const checkpoint = openHuggingFace(folder);
    const { fresh } = planLoad(checkpoint, specs, false);
    expect(fresh).to.deep.equal(['classifier/kernel', 'classifier/bias']);
    checkpoint.close();
  });

  it('without a part of the encoder, or with one of another shape, is refused with all names', () => {
    rewrite((name) => (name.includes('layer.1') ? undefined : { file: 'model.safetensors', name }));
    const checkpoint = openHuggingFace(folder);
    const wider = sequenceClassifier({ ...config, vocab_size: 32 }, labels.length).variables;
    expect(() => planLoad(checkpoint, wider, true))
      .to.throw('bert.embeddings.word_embeddings.weight is [31, 8], expected [32, 8]')
      .with.property('message')
      .that.contains('bert.encoder.layer.1.attention.self.query.weight is missing')
      .and.contains('bert.encoder.layer.1.output.LayerNorm.bias is missing');
    checkpoint.close();
  });

  it('has the labels of id2label where they are whole', () => {
    const parse = (id2label: unknown) => parseConfig('config.json', { ...config, id2label }).labels;
    expect(parse({ 0: 'LABEL_0', 1: 'LABEL_1' })).to.deep.equal(['LABEL_0', 'LABEL_1']);
    expect(parse({ 1: 'yes', 0: 'no' })).to.deep.equal(['no', 'yes']);
    expect(parse({ 1: 'yes', 2: 'no' })).to.equal(undefined);
    expect(parse(undefined)).to.equal(undefined);
  });

  it('with an index that is no index is refused', () => {
    rmSync(join(folder, 'model.safetensors'));
    writeFileSync(join(folder, 'model.safetensors.index.json'), '{"weights": {}}');
    expect(() => openHuggingFace(folder)).to.throw('model.safetensors.index.json: ');
  });
});
