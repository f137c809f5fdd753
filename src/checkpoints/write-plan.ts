import { UserError } from '../errors.js';
import type { AlbertConfig } from '../models/albert-config.js';
import type { ModelConfig } from '../models/model-config.js';
import { carriedNames } from './carried-names.js';
import type { Checkpoint, StoredAs } from './checkpoint.js';
import { huggingFaceNames } from './huggingface-names.js';
import { isBuffer } from './model-buffers.js';
import type { StoredTensor } from './stored-tensor.js';
import { variableShape } from './variable-shapes.js';

/** What of a checkpoint is written in another format. */

/** A variable that the checkpoint has. */
export interface KeptVariable {
  /** Our name, which is Google's. */
  readonly name: string;
  /** As the variable has it: kernels are [in, out]. */
  readonly shape: readonly number[];
  readonly tensor: StoredTensor;
  /** Whether `tensor` is the transpose. */
  readonly transposed: boolean;
}

/** A tensor that is not written, and why. */
export interface LeftOut {
  readonly name: string;
  readonly reason: 'tied' | 'incomplete' | 'buffer' | 'unknown';
}

/**
 * The parts of a model beside the encoder: the pooler, what predicts masked words, pairs of sentences and replaced
 * tokens, classifiers of sequences and of tokens (BERT's and ALBERT's have the same names and count as `token`), what
 * finds answers, and the CRF that t4 has on a classifier of tokens.
 */
export type Part = 'crf' | 'pooler' | 'words' | 'pairs' | 'replaced' | 'sequence' | 'token' | 'answers';

export interface WritePlan {
  readonly config: ModelConfig;
  readonly kept: readonly KeptVariable[];
  readonly parts: ReadonlySet<Part>;
  readonly leftOut: readonly LeftOut[];
  /** Variables that the checkpoint lacks and may lack, where zeros mean the same. */
  readonly absent: readonly string[];
}

/** The part that a variable belongs to; undefined: the encoder. */
function partOf({ model_type: family }: ModelConfig, name: string): Part | undefined {
  if (name.startsWith('bert/pooler/')) return 'pooler';
  if (/^(cls\/predictions|generator_predictions)\//.test(name)) return 'words';
  if (name.startsWith('cls/seq_relationship/')) return 'pairs';
  if (name.startsWith('discriminator_predictions/')) return 'replaced';
  if (name.startsWith('cls/squad/')) return 'answers';
  if (name.startsWith('crf/')) return 'crf';
  if (/^(pre_classifier|classifier\/(dense|out_proj))\//.test(name)) return 'sequence';
  if (name.startsWith('classifier/')) return family === 'distilbert' ? 'sequence' : 'token';
  return undefined;
}

const untiedTable = 'cls/predictions/decoder/output_weights';

/** Whether zeros mean the same as no variable: fairseq's RoBERTa has no segments, and an ALBERT may have idle groups. */
export function mayBeZero(config: ModelConfig, name: string): boolean {
  if (config.model_type === 'roberta') return name === 'bert/embeddings/token_type_embeddings';
  const group = /\/group_(\d+)\//.exec(name)?.[1];
  return config.model_type === 'albert' && group !== undefined && !usedGroups(config).has(Number(group));
}

/** The groups of weights that a layer has, by Transformers' formula. */
function usedGroups({ num_hidden_layers: layers, num_hidden_groups: groups }: AlbertConfig): Set<number> {
  return new Set(Array.from({ length: layers }, (_, layer) => Math.floor(layer / (layers / groups))));
}

/** An ELECTRA whose embeddings are as wide as its layers has no projection. */
export const isWithoutUse = (config: ModelConfig, name: string): boolean =>
  config.model_type === 'electra' &&
  config.embedding_size === config.hidden_size &&
  name.startsWith('electra/embeddings_project/');

/**
 * Finds every variable of the model in the checkpoint: of the encoder all, of the other parts those that are whole.
 *
 * @throws UserError 'files' naming each missing encoder weight and each wrong shape
 */
export function planWrite(checkpoint: Checkpoint): WritePlan {
  const { config, format, tensors, storedAs } = checkpoint;
  const names = [...huggingFaceNames(config).keys(), ...carriedNames(config, format).keys()];
  const sources = new Map([...storedAs, ...carriedNames(config, format)]);
  const problems: string[] = [];
  const found = new Map<string, KeptVariable>();
  const absent: string[] = [];
  for (const name of names) {
    if (name === untiedTable ? config.tie_word_embeddings !== false : isWithoutUse(config, name)) continue;
    const stored = sources.get(name);
    const tensor = stored?.names.map((spelling) => tensors.get(spelling)).find((each) => each !== undefined);
    if (stored === undefined || tensor === undefined) {
      absent.push(name);
      if (partOf(config, name) === undefined && !mayBeZero(config, name)) {
        problems.push(`${stored?.names[0] ?? name} is missing`);
      }
      continue;
    }
    const shape = stored.transposed ? [...tensor.shape].reverse() : tensor.shape;
    const expected = variableShape(config, name);
    if (fits(shape, expected)) found.set(name, { name, shape, tensor, transposed: stored.transposed });
    else problems.push(`${tensor.name} is ${shapeText(tensor.shape)}, expected ${expectedText(expected, stored)}`);
  }
  if (problems.length > 0) throw misfit(checkpoint, problems);
  const zero = absent.filter((name) => mayBeZero(config, name));
  return { config, ...wholeParts(checkpoint, found, absent), absent: zero };
}

/** Drops parts that only some tensors are there of, and tells the classifiers apart. */
function wholeParts(
  { config, tensors, storedAs }: Checkpoint,
  found: ReadonlyMap<string, KeptVariable>,
  absent: readonly string[],
): Omit<WritePlan, 'config' | 'absent'> {
  // DistilBERT's classifier of tokens is its classifier of sequences without the first layer.
  const bare = ['pre_classifier/kernel', 'pre_classifier/bias'].every((name) => absent.includes(name));
  const broken = new Set<Part>();
  for (const name of absent) {
    const part = partOf(config, name);
    if (part !== undefined && !(bare && name.startsWith('pre_classifier/'))) broken.add(part);
  }
  const parts = new Set<Part>();
  const kept: KeptVariable[] = [];
  const leftOut = new Map<string, LeftOut>();
  for (const variable of found.values()) {
    const part = partOf(config, variable.name);
    if (part !== undefined && broken.has(part)) {
      leftOut.set(variable.tensor.name, { name: variable.tensor.name, reason: 'incomplete' });
      continue;
    }
    kept.push(variable);
    if (part !== undefined) parts.add(part);
  }
  if (config.model_type === 'distilbert' && bare && parts.delete('sequence')) parts.add('token');
  const used = new Set(kept.map(({ tensor }) => tensor.name));
  const tied = new Set(config.tie_word_embeddings === false ? [] : (storedAs.get(untiedTable)?.names ?? []));
  const spellings = new Set([...storedAs.values()].flatMap((stored) => stored.names));
  for (const name of tensors.keys()) {
    if (used.has(name) || leftOut.has(name)) continue;
    // A second spelling of what has been taken: the bias of a decoder that is tied to another.
    const isCopy = tied.has(name) || (spellings.has(name) && name.endsWith('.bias'));
    leftOut.set(name, { name, reason: isCopy ? 'tied' : isBuffer(name) ? 'buffer' : 'unknown' });
  }
  return { kept, parts, leftOut: [...leftOut.values()] };
}

export const fits = (shape: readonly number[], expected: readonly (number | 'labels')[]): boolean =>
  shape.length === expected.length &&
  shape.every((size, axis) => expected[axis] === 'labels' || expected[axis] === size);

const shapeText = (shape: readonly (number | string)[]): string => `[${shape.join(', ')}]`;

const expectedText = (expected: readonly (number | string)[], { transposed }: StoredAs): string =>
  shapeText(transposed ? [...expected].reverse() : expected);

const mostShown = 20;

function misfit({ folder, configPath }: Checkpoint, problems: readonly string[]): UserError {
  const shown = problems.slice(0, mostShown).map((problem) => `  ${problem}`);
  const more = problems.length > mostShown ? [`  ... and ${problems.length - mostShown} more`] : [];
  return new UserError(
    'files',
    [`${folder}: the weights do not fit ${configPath}:`, ...shown, ...more].join('\n'),
    'Check that the configuration and the weights belong to one model.',
  );
}
