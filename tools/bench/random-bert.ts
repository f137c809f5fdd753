import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { huggingFaceNames } from '../../src/checkpoints/huggingface-names.js';
import { writeSafetensors } from '../../src/checkpoints/safetensors.js';
import type { TensorToStore } from '../../src/checkpoints/stored-tensor.js';
import { variableShape } from '../../src/checkpoints/variable-shapes.js';
import { createRandom } from '../../src/data/random.js';
import { bertConfigSchema } from '../../src/models/bert-config.js';
import { bertBase } from './flops.js';

const settings = {
  model_type: 'bert',
  architectures: ['BertModel'],
  vocab_size: bertBase.vocabulary,
  hidden_size: bertBase.hidden,
  num_hidden_layers: bertBase.layers,
  num_attention_heads: bertBase.heads,
  intermediate_size: bertBase.intermediate,
};

/** Makes a Hugging Face folder with an encoder of BERT-base of random weights, 409 MB, into a folder that is there. */
export function writeRandomBert(folder: string): void {
  const config = bertConfigSchema.parse(settings);
  const random = createRandom(1);
  const tensors: TensorToStore[] = [];
  for (const [name, { names, transposed }] of huggingFaceNames(config)) {
    if (!/^bert\/(embeddings|encoder|pooler)\//.test(name)) continue;
    const ours = variableShape(config, name).filter((size) => size !== 'labels');
    const shape = transposed ? ours.reverse() : ours;
    const count = shape.reduce((product, size) => product * size, 1);
    // Of the spread that initialisation has; LayerNorm's scales are near 1.
    const middle = name.endsWith('/gamma') ? 1 : 0;
    const values = (): Float32Array => Float32Array.from({ length: count }, () => middle + (random(4001) - 2000) / 5e4);
    tensors.push({ name: names[0]!, shape, values });
  }
  writeFileSync(join(folder, 'config.json'), `${JSON.stringify(settings, null, 2)}\n`);
  writeSafetensors(join(folder, 'model.safetensors'), tensors);
}
