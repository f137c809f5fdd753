import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dump } from 'js-yaml';
import { writeJson } from '../../src/checkpoints/json.js';
import { writeModelWeights } from '../../src/checkpoints/model-folder.js';
import { createRandom } from '../../src/data/random.js';
import { bertConfigSchema } from '../../src/models/bert-config.js';
import { modelOf } from '../../src/models/network.js';

/** A task small enough to be trained in a second: a BERT of 2 layers and sentences that one word decides. */

const good = ['good', 'great', 'fine', 'lovely'];
const bad = ['bad', 'awful', 'poor', 'dull'];
const others = ['the', 'a', 'film', 'play', 'was', 'really', 'quite', 'so', 'and', 'then', 'today', '.'];
const vocabulary = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', ...good, ...bad, ...others];

export const tinyConfig = {
  model_type: 'bert',
  vocab_size: vocabulary.length,
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  intermediate_size: 24,
  max_position_embeddings: 20,
};

/** A Hugging Face folder: config.json, vocab.txt and an encoder without pooler and head. */
export function writeTinyModel(folder: string): string {
  mkdirSync(folder, { recursive: true });
  writeJson(join(folder, 'config.json'), tinyConfig);
  writeFileSync(join(folder, 'vocab.txt'), `${vocabulary.join('\n')}\n`);
  const config = bertConfigSchema.parse(tinyConfig);
  const specs = modelOf(config).variables;
  const random = createRandom(7);
  writeModelWeights(folder, config, specs, (name) => {
    const size = specs.find((spec) => spec.name === name)!.shape.reduce((product, dim) => product * dim, 1);
    if (name.endsWith('/gamma')) return new Float32Array(size).fill(1);
    if (/\/(beta|bias)$/.test(name)) return new Float32Array(size);
    return Float32Array.from({ length: size }, () => (random(2001) - 1000) / 4000);
  });
  return folder;
}

export interface Sentence {
  readonly text: string;
  readonly label: 'pos' | 'neg';
}

/** Sentences of 4 to 9 words; alternately positive and negative. */
export function sentences(count: number, seed: number): Sentence[] {
  const random = createRandom(seed);
  return Array.from({ length: count }, (_, i) => {
    const label = i % 2 === 0 ? 'pos' : 'neg';
    const words = Array.from({ length: 3 + random(6) }, () => others[random(others.length)]!);
    const telling = label === 'pos' ? good : bad;
    words.splice(random(words.length), 0, telling[random(telling.length)]!);
    return { text: words.join(' '), label };
  });
}

/** Lines of TSV with a header. */
export const tsv = (rows: readonly Sentence[]): string =>
  ['label\ttext', ...rows.map(({ label, text }) => `${label}\t${text}`)].map((line) => `${line}\n`).join('');

type Section = Readonly<Record<string, unknown>>;

export interface TinyTask {
  readonly folder: string;
  /** The task file. */
  readonly file: string;
  readonly model: string;
}

/**
 * A folder with a model, train.tsv (48), dev.tsv (16), test.tsv (16) and task.yaml: 3 epochs of 6 steps. Keys that are
 * given replace those of the task; undefined takes one out.
 */
export function writeTinyTask(
  folder: string,
  changes: { task?: string; data?: Section; model?: Section; training?: Section } = {},
): TinyTask {
  mkdirSync(folder, { recursive: true });
  const model = writeTinyModel(join(folder, 'bert'));
  writeFileSync(join(folder, 'train.tsv'), tsv(sentences(48, 1)));
  writeFileSync(join(folder, 'dev.tsv'), tsv(sentences(16, 2)));
  writeFileSync(join(folder, 'test.tsv'), tsv(sentences(16, 3)));
  const task = {
    version: 1,
    task: changes.task ?? 'classification',
    data: {
      train: 'train.tsv',
      dev: 'dev.tsv',
      test: 'test.tsv',
      columns: { text: 'text', label: 'label' },
      ...changes.data,
    },
    model: { source: './bert', max_length: 16, ...changes.model },
    training: { epochs: 3, batch_size: 8, learning_rate: 0.01, log_every: 1, precision: 'fp32', ...changes.training },
  };
  const file = join(folder, 'task.yaml');
  writeFileSync(file, dump(task, { skipInvalid: true }));
  return { folder, file, model };
}
