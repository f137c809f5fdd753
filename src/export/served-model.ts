import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { writeJson } from '../checkpoints/json.js';
import type { ModelCard } from '../checkpoints/model-folder.js';
import type { TensorToStore } from '../checkpoints/stored-tensor.js';
import { tensorBundleSteps, type BundleTensor } from '../checkpoints/tensor-bundle.js';
import { UserError } from '../errors.js';
import type { Variable } from '../graph/index.js';
import { writeSavedModel } from '../graph/saved-model.js';
import { finishedNetwork, readAllWeights, type FinishedModel } from '../training/finished-model.js';
import type { ExportPrecision } from './precision.js';
import { servingProgram } from './serving-program.js';
import { defaultSignature } from './signature-names.js';
import type { ServedLabels, ServingProgram } from './serving-program.js';
import { textInputs, type TextInputs } from './text/text-inputs.js';
import { warmupRequests } from './warmup.js';

/** One version of a model as TensorFlow Serving loads it: graph, variables, and what its texts and labels mean. */
export interface ServedModel {
  readonly program: ServingProgram;
  readonly variables: number;
  /** What it cannot do, a sentence each. */
  readonly notes: readonly string[];
  /** Writes all of it; a step for each variable that has been written. */
  write(folder: string): Generator<TensorToStore, void>;
}

export function servedLabels({ head, labels: names, threshold }: FinishedModel): ServedLabels {
  const kind = head === 'token' ? 'token' : threshold === undefined ? 'example' : 'label-set';
  return { kind, names, threshold };
}

/** What t4.json says of a model, its own or what follows from a model of others, where it is computed in `precision`. */
export function cardOf(finished: FinishedModel, precision: ExportPrecision): ModelCard {
  const { card, labels, threshold, maxLength } = finished;
  const tasks = { example: 'classification', 'label-set': 'multi-label-classification', token: 'ner' } as const;
  return {
    ...(card ?? { version: 1, task: tasks[servedLabels(finished).kind], labels: [...labels], maxLength, threshold }),
    precision: precision === 'bf16' ? 'bf16' : 'fp32',
  };
}

/** @param name what requests call the model */
export function servedModel(finished: FinishedModel, name: string, precision: ExportPrecision): ServedModel {
  const network = finishedNetwork(finished);
  const { text, notes } = textOf(finished);
  const program = servingProgram(finished.checkpoint.config, network, servedLabels(finished), precision, text);
  const dtypes = new Map(program.variables.map((variable) => [variable.name, bundleType(variable)]));
  return {
    program,
    variables: network.variables.length,
    notes,
    *write(folder) {
      mkdirSync(join(folder, 'variables'));
      const weights = readAllWeights(finished.checkpoint, network);
      const tensors = weights.map(({ name, shape, read }) => ({
        name,
        shape,
        dtype: dtypes.get(name)!,
        values: () => inRange(finished, name, read(), dtypes.get(name)!),
      }));
      yield* tensorBundleSteps(join(folder, 'variables', 'variables'), tensors);
      writeAssets(join(folder, 'assets'), finished, precision, text);
      mkdirSync(join(folder, 'assets.extra'));
      const inputs = Object.keys(program.signatures[defaultSignature]!.inputs);
      const sizes = { padTokenId: finished.tokenizer.padTokenId, maxLength: finished.maxLength };
      writeFileSync(join(folder, 'assets.extra', 'tf_serving_warmup_requests'), warmupRequests(name, inputs, sizes));
      writeSavedModel(program, folder, program.saver, program.init);
    },
  };
}

/** The tokenizer in the graph, or why there is none. */
function textOf({ head, card, tokenizer, maxLength }: FinishedModel): {
  readonly text?: TextInputs;
  readonly notes: readonly string[];
} {
  const kind = head === 'token' ? (card?.words ?? 'words') : undefined;
  const isPair = card?.task === 'pair-classification';
  const text = textInputs(tokenizer, { isPair, maxLength, words: kind });
  if (typeof text !== 'string') return { text, notes: [] };
  return {
    notes: [
      `no signature takes texts, because ${text}: clients of TensorFlow Serving send token ids, those of t4 serve may send texts`,
    ],
  };
}

type BundleType = NonNullable<BundleTensor['dtype']>;

function bundleType({ name, dtype }: Variable): BundleType {
  if (dtype === 'float32' || dtype === 'bfloat16' || dtype === 'float16') return dtype;
  throw new TypeError(`the variable ${name} is ${dtype}, expected floats`);
}

/** Half precision ends at 65504; the next number would be 65536. */
const endOfHalves = 65520;

/** Throws UserError 'files' where the type has no such numbers. */
function inRange({ folder }: FinishedModel, name: string, values: Float32Array, dtype: BundleType): Float32Array {
  const outside = dtype === 'float16' ? values.find((value) => Math.abs(value) >= endOfHalves) : undefined;
  if (outside === undefined) return values;
  throw new UserError(
    'files',
    `${folder}: ${name} has the weight ${outside}, and half precision ends at 65504`,
    'Export it in bf16, whose range is that of fp32, or in fp32.',
  );
}

/** The tokenizer's files, labels.txt (a name a line, by id), t4.json, and what the graph reads. */
function writeAssets(
  folder: string,
  finished: FinishedModel,
  precision: ExportPrecision,
  text: TextInputs | undefined,
): void {
  mkdirSync(folder);
  for (const file of finished.tokenizer.files) copyFileSync(file, join(folder, basename(file)));
  writeFileSync(join(folder, 'labels.txt'), finished.labels.map((label) => `${label}\n`).join(''));
  writeJson(join(folder, 't4.json'), cardOf(finished, precision));
  if (text?.vocabulary.text !== undefined) writeFileSync(join(folder, text.vocabulary.name), text.vocabulary.text);
}
