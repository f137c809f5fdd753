import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openSafetensors, writeSafetensors } from '../../src/checkpoints/safetensors.js';
import { elementCount } from '../../src/checkpoints/float-data.js';
import type { StoredTensor } from '../../src/checkpoints/stored-tensor.js';
import { legacyFile, littleEndian, pushed, pushedTensor, zipOf } from './torch-file.js';

/** The weights of a Hugging Face folder in the other layouts that it may have, in place of its model.safetensors. */

interface Weight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** Takes the weights out of a folder. */
function takeWeights(folder: string): Weight[] {
  const path = join(folder, 'model.safetensors');
  const file = openSafetensors(path);
  const read = (tensor: StoredTensor): Weight => ({ name: tensor.name, shape: tensor.shape, values: tensor.read() });
  const weights = [...file.tensors.values()].map(read);
  file.close();
  rmSync(path);
  return weights;
}

const bytesOf = ({ values }: Weight): Buffer => Buffer.from(values.buffer, values.byteOffset, values.byteLength);

/** Two shards and their index. */
export function toShards(folder: string): void {
  const weights = takeWeights(folder);
  const weightMap: Record<string, string> = {};
  for (const shard of [0, 1]) {
    const name = `model-0000${shard + 1}-of-00002.safetensors`;
    const some = weights.filter((_, i) => i % 2 === shard);
    writeSafetensors(
      join(folder, name),
      some.map((weight) => ({ ...weight, values: () => weight.values })),
    );
    for (const weight of some) weightMap[weight.name] = name;
  }
  writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: weightMap }));
}

/** pytorch_model.bin in one of the two layouts of torch.save. */
export function toTorchFile(folder: string, layout: 'zip' | 'older'): void {
  const weights = takeWeights(folder);
  const entries = weights.map(({ name, shape }, key) => {
    const stride = shape.map((_, axis) => elementCount(shape.slice(axis + 1))!);
    const count = elementCount(shape)!;
    const view = layout === 'older' ? { view: 'N' } : {};
    return `${pushed(name)}${pushedTensor({ key: String(key), count, size: shape, stride, ...view })}s`;
  });
  const pickle = `\x80\x02}${entries.join('')}.`;
  const keys = weights.map((_, key) => String(key));
  const older = (): Buffer => {
    const data = weights.flatMap((weight) => [
      Buffer.from(littleEndian(weight.values.length, 8), 'latin1'),
      bytesOf(weight),
    ]);
    return legacyFile(pickle, keys, Buffer.concat(data));
  };
  const zip = (): Buffer =>
    zipOf([['a/data.pkl', pickle], ...weights.map((weight, key) => [`a/data/${key}`, bytesOf(weight)] as const)]);
  writeFileSync(join(folder, 'pytorch_model.bin'), layout === 'zip' ? zip() : older());
}

const letters = Array.from({ length: 26 }, (_, i) => String.fromCharCode(0x61 + i));
const fixtures = join('test', 'fixtures', 'checkpoints');

/** A vocabulary of as many words as the fixtures' models have rows: 37. */
export const wordPieces = [
  '[PAD]',
  '[UNK]',
  '[CLS]',
  '[SEP]',
  '[MASK]',
  ...letters,
  'ab',
  'cd',
  '##e',
  '##f',
  'paris',
  'is',
];

/** Copies the fixture of a format, with a tokenizer beside it that fits its model. */
export function copyFixture(format: 'huggingface' | 'tensorflow' | 'fairseq', folder: string): void {
  cpSync(join(fixtures, format), folder, { recursive: true });
  rmSync(join(folder, 'expected.safetensors'), { force: true });
  if (format !== 'fairseq') {
    writeFileSync(join(folder, 'vocab.txt'), wordPieces.join('\n'));
    return;
  }
  // 32 tokens of GPT-2's kind; fairseq has four before them and the mask behind.
  const tokens = [...letters, '\u0120', '\u0120p', '\u0120i', 'ar', 'is', '.'];
  writeFileSync(
    join(folder, 'encoder.json'),
    JSON.stringify(Object.fromEntries(tokens.map((token, id) => [token, id]))),
  );
  writeFileSync(join(folder, 'vocab.bpe'), '#version: 0.2\n\u0120 p\n\u0120 i\na r\ni s\n');
  writeFileSync(join(folder, 'dict.txt'), tokens.map((_, id) => `${id} 1\n`).join(''));
}

/** Bits of every tensor of a safetensors file. */
export function bitsOf(path: string): Record<string, string> {
  const file = openSafetensors(path);
  try {
    const tensors = [...file.tensors.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    return Object.fromEntries(
      tensors.map((tensor) => [
        tensor.name,
        `[${tensor.shape.join()}] ${Buffer.from(tensor.read().buffer).toString('hex')}`,
      ]),
    );
  } finally {
    file.close();
  }
}
