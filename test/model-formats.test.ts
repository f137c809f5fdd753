import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { bitsOf, toShards, toTorchFile } from './support/formats.js';
import { t4 } from './support/t4.js';

const fixtures = join('test', 'fixtures', 'checkpoints');

const describedSchema = z.object({
  kind: z.literal('model'),
  model: z.object({
    path: z.string(),
    format: z.string(),
    files: z.array(z.object({ name: z.string(), bytes: z.number() })),
    model_type: z.string(),
    heads: z.array(z.string()),
    problems: z.array(z.string()),
    config: z.object({ layers: z.number(), activation: z.string(), layer_norm_epsilon: z.number() }),
    parameters: z.object({ total: z.number() }),
    missing: z.array(z.string()),
    unused: z.array(z.string()),
    labels: z.array(z.string()).optional(),
    tensors: z.array(z.object({ name: z.string(), dtype: z.string(), shape: z.array(z.number()) })),
  }),
});

async function inspected(source: string): Promise<z.infer<typeof describedSchema>['model']> {
  const ran = await t4('inspect', source, '--json');
  expect(ran, ran.stderr).to.include({ code: 0, stderr: '' });
  return describedSchema.parse(JSON.parse(ran.stdout)).model;
}

describe('a model in every layout', () => {
  let folder: string;
  const at = (name: string): string => join(folder, name);
  const zipped = (path: string): void => {
    toTorchFile(path, 'zip');
  };
  const older = (path: string): void => {
    toTorchFile(path, 'older');
  };
  const layouts: [string, (folder: string) => void, string, string[]][] = [
    ['one file', () => undefined, 'F32', ['model.safetensors']],
    ['shards', toShards, 'F32', ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors']],
    ['a zip file of PyTorch', zipped, 'torch.float32', ['pytorch_model.bin']],
    ['an older file of PyTorch', older, 'torch.float32', ['pytorch_model.bin']],
  ];
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 't4-formats-'));
    for (const [name, change] of layouts) {
      cpSync(join(fixtures, 'huggingface'), at(name), { recursive: true });
      change(at(name));
    }
    for (const name of ['fairseq', 'tensorflow']) cpSync(join(fixtures, name), at(name), { recursive: true });
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  for (const [name, , dtype, files] of layouts) {
    it(`is described and converted: ${name}`, async () => {
      const whole = await inspected(join(fixtures, 'huggingface'));
      const { path, files: found, tensors, ...rest } = await inspected(at(name));
      expect(path).to.equal(at(name));
      expect(whole).to.deep.include(rest);
      expect(rest.labels).to.deep.equal(['good', 'bad', 'other']);
      expect(found.map((file) => file.name)).to.deep.equal(files);
      const byName = (list: typeof tensors) => new Map(list.map((tensor) => [tensor.name, tensor.shape]));
      expect(byName(tensors)).to.deep.equal(byName(whole.tensors));
      expect(new Set(tensors.map((tensor) => tensor.dtype))).to.deep.equal(new Set([dtype]));

      const output = at(`${name}, converted`);
      const ran = await t4('convert', '--to', 'huggingface', at(name), '--output', output);
      expect(ran.code, ran.stderr).to.equal(0);
      const source = bitsOf(join(fixtures, 'huggingface', 'model.safetensors'));
      expect(bitsOf(join(output, 'model.safetensors'))).to.deep.equal(source);
    });
  }

  it("is described in fairseq's: by its folder and by its file", async () => {
    const described = await inspected(at('fairseq'));
    expect(described).to.deep.include({
      format: 'fairseq',
      model_type: 'roberta',
      heads: ['masked-language-model'],
      problems: ['there is no tokenizer'],
      missing: [],
    });
    expect(described.config).to.include({ layers: 1, activation: 'gelu (erf)', layer_norm_epsilon: 1e-5 });
    expect(described.tensors.map((tensor) => tensor.name)).to.include(
      'decoder.sentence_encoder.layers.0.self_attn.in_proj_weight',
    );
    const { path, ...file } = await inspected(at('fairseq/model.pt'));
    expect({ ...file, path: at('fairseq') }).to.deep.equal({ ...described });
    expect(path).to.equal(at('fairseq/model.pt'));
  });

  it("is described in TensorFlow's: Google's gelu, both heads, and the optimizer's memory not counted", async () => {
    const described = await inspected(at('tensorflow'));
    expect(described).to.deep.include({
      format: 'tensorflow',
      model_type: 'bert',
      heads: ['masked-language-model', 'next-sentence'],
      missing: [],
    });
    expect(described.config).to.include({ layers: 1, activation: 'gelu (tanh)', layer_norm_epsilon: 1e-12 });
    const counted = described.tensors.filter((tensor) => !/adam_[mv]$|^global_step$/.test(tensor.name));
    expect(described.tensors.length - counted.length).to.equal(5);
    const total = counted.reduce((sum, { shape }) => sum + shape.reduce((count, size) => count * size, 1), 0);
    expect(described.parameters.total).to.equal(total);
  });
});
