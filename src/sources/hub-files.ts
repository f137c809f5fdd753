import { UserError } from '../errors.js';

/** Which files of a repository a model consists of; all functions are pure. Names are those in the repository's root. */

/** The tokenizer of fairseq's RoBERTa, beside `model.pt`, which has its configuration in it. */
const fairseqFiles = ['dict.txt', 'encoder.json', 'vocab.bpe'];

const tokenizerFiles = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.txt',
  'vocab.json',
  'merges.txt',
  'spiece.model',
  'sentencepiece.bpe.model',
  '30k-clean.model',
  ...fairseqFiles,
];

/** Each of them is enough to make a tokenizer of. */
const vocabularies = [
  'tokenizer.json',
  'vocab.txt',
  'vocab.json',
  'spiece.model',
  'sentencepiece.bpe.model',
  '30k-clean.model',
  'dict.txt',
];

/** Google's checkpoints name their configuration after the model. */
const configs = ['config.json', 'bert_config.json', 'albert_config.json'];

/** What t4 adds to the models that it writes: labels and how the text was cut. */
const modelCard = 't4.json';

const fairseqWeights = 'model.pt';

const tensorFlowFile = /^(.+\.ckpt(?:-\d+)?)\.(?:index|data-\d{5}-of-\d{5})$/;

/**
 * The files that a model is read from: weights in one format only, the best one there is, and they come last, so that a
 * folder with weights has all the rest. Without usable weights or without a configuration: whatever there is of them.
 */
export function neededFiles(all: readonly string[]): string[] {
  const there = new Set(all);
  const small = [...configs, ...tokenizerFiles, modelCard].filter((name) => there.has(name));
  return [...small, ...weightFiles(all)];
}

/** What `all` lacks to be a model, in words; undefined: nothing. */
export function missingPart(all: readonly string[]): string | undefined {
  const weights = weightFiles(all);
  if (weights.length === 0) return 'weights that t4 reads';
  if (weights[0] !== fairseqWeights && !configs.some((name) => all.includes(name))) return 'config.json';
  return undefined;
}

export function hasVocabulary(all: readonly string[]): boolean {
  return vocabularies.some((name) => all.includes(name));
}

function weightFiles(all: readonly string[]): string[] {
  const single = (name: string): string[] => (all.includes(name) ? [name] : []);
  const candidates = [
    single('model.safetensors'),
    shards(all, 'model', 'safetensors'),
    single('pytorch_model.bin'),
    shards(all, 'pytorch_model', 'bin'),
    tensorFlowCheckpoint(all),
    single(fairseqWeights),
  ];
  return candidates.find((files) => files.length > 0) ?? [];
}

/** The index and its shards; none where the index or a shard is absent. */
function shards(all: readonly string[], stem: string, ending: string): string[] {
  const index = `${stem}.${ending}.index.json`;
  if (!all.includes(index)) return [];
  const pattern = new RegExp(`^${stem}-(\\d{5})-of-(\\d{5})\\.${ending}$`);
  const counts = new Map<string, number>();
  const found = all.filter((name) => {
    const count = pattern.exec(name)?.[2];
    if (count !== undefined) counts.set(count, (counts.get(count) ?? 0) + 1);
    return count !== undefined;
  });
  const isWhole = [...counts].some(([count, there]) => Number(count) === there);
  return isWhole ? [index, ...found.sort()] : [];
}

/** Index and data files that belong together. */
function tensorFlowCheckpoint(all: readonly string[]): string[] {
  const indices = all.filter((name) => name.endsWith('.index') && tensorFlowFile.test(name));
  return indices.flatMap((index) => {
    const prefix = tensorFlowFile.exec(index)?.[1];
    const data = all.filter((name) => name !== index && tensorFlowFile.exec(name)?.[1] === prefix).sort();
    return data.length === 0 ? [] : [index, ...data];
  });
}

/**
 * Throws UserError for a name that would leave the folder it is put in, under the rules of any system: `..`, an absolute
 * name, a drive.
 */
export function refuseUnsafeName(repository: string, name: string): void {
  const parts = name.split(/[\\/]/);
  if (name !== '' && parts[0] !== '' && !parts.includes('..') && !/^[A-Za-z]:/.test(name) && !name.includes('\0'))
    return;
  throw new UserError(
    'files',
    `hf:${repository} lists a file named ${JSON.stringify(name)}, which lies outside of the repository`,
    'Nothing was written. Do not use this repository; tell the people who run the hub.',
  );
}
