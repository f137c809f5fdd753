import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { huggingFaceNames } from '../../src/checkpoints/huggingface-names.js';
import { writeSafetensors } from '../../src/checkpoints/safetensors.js';
import type { TensorToStore } from '../../src/checkpoints/stored-tensor.js';
import { variableShape } from '../../src/checkpoints/variable-shapes.js';
import { createRandom } from '../../src/data/random.js';
import { bertConfigSchema } from '../../src/models/bert-config.js';
import { bertBase, bertSettings, type BertSizes } from './flops.js';

const parts = {
  encoder: { architecture: 'BertModel', names: /^bert\/(embeddings|encoder|pooler)\// },
  classifier: {
    architecture: 'BertForSequenceClassification',
    names: /^(bert\/(embeddings|encoder|pooler)|classifier)\//,
  },
} as const;

/**
 * Makes a Hugging Face folder with a BERT of random weights, without a tokenizer, into a folder that is there. BERT-base
 * is 409 MB.
 */
export function writeRandomBert(folder: string, part: keyof typeof parts, sizes: BertSizes = bertBase): void {
  const { architecture, names: included } = parts[part];
  const settings = { architectures: [architecture], ...bertSettings(sizes) };
  const config = bertConfigSchema.parse(settings);
  const random = createRandom(1);
  const tensors: TensorToStore[] = [];
  for (const [name, { names, transposed }] of huggingFaceNames(config)) {
    if (!included.test(name)) continue;
    const ours = variableShape(config, name).map((size) => (size === 'labels' ? sizes.labels : size));
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
