import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { writeJson } from '../checkpoints/json.js';
import type { ModelCard } from '../checkpoints/model-folder.js';
import type { TensorToStore } from '../checkpoints/stored-tensor.js';
import { tensorBundleSteps } from '../checkpoints/tensor-bundle.js';
import { writeSavedModel } from '../graph/saved-model.js';
import { finishedNetwork, readAllWeights, type FinishedModel } from '../training/finished-model.js';
import { defaultSignature, servingProgram, type ServedLabels, type ServingProgram } from './serving-program.js';
import { warmupRequests } from './warmup.js';

/** One version of a model as TensorFlow Serving loads it: graph, variables, and what its texts and labels mean. */
export interface ServedModel {
  readonly program: ServingProgram;
  readonly variables: number;
  /** Writes all of it; a step for each variable that has been written. */
  write(folder: string): Generator<TensorToStore, void>;
}

export function servedLabels({ head, labels: names, threshold }: FinishedModel): ServedLabels {
  const kind = head === 'token' ? 'token' : threshold === undefined ? 'example' : 'label-set';
  return { kind, names, threshold };
}

/** What t4.json says of a model, its own or what follows from a model of others. */
export function cardOf(finished: FinishedModel): ModelCard {
  const { card, labels, threshold, maxLength } = finished;
  const tasks = { example: 'classification', 'label-set': 'multi-label-classification', token: 'ner' } as const;
  return {
    ...(card ?? { version: 1, task: tasks[servedLabels(finished).kind], labels: [...labels], maxLength, threshold }),
    precision: 'fp32',
  };
}

/** @param name what requests call the model */
export function servedModel(finished: FinishedModel, name: string): ServedModel {
  const network = finishedNetwork(finished);
  const program = servingProgram(finished.checkpoint.config, network, servedLabels(finished));
  return {
    program,
    variables: network.variables.length,
    *write(folder) {
      mkdirSync(join(folder, 'variables'));
      const weights = readAllWeights(finished.checkpoint, network);
      const tensors = weights.map((weight) => ({ name: weight.name, shape: weight.shape, values: weight.read }));
      yield* tensorBundleSteps(join(folder, 'variables', 'variables'), tensors);
      writeAssets(join(folder, 'assets'), finished);
      mkdirSync(join(folder, 'assets.extra'));
      const inputs = Object.keys(program.signatures[defaultSignature]!.inputs);
      const sizes = { padTokenId: finished.tokenizer.padTokenId, maxLength: finished.maxLength };
      writeFileSync(join(folder, 'assets.extra', 'tf_serving_warmup_requests'), warmupRequests(name, inputs, sizes));
      writeSavedModel(program, folder, program.saver);
    },
  };
}

/** The tokenizer's files, labels.txt (a name a line, by id) and t4.json. */
function writeAssets(folder: string, finished: FinishedModel): void {
  mkdirSync(folder);
  for (const file of finished.tokenizer.files) copyFileSync(file, join(folder, basename(file)));
  writeFileSync(join(folder, 'labels.txt'), finished.labels.map((label) => `${label}\n`).join(''));
  writeJson(join(folder, 't4.json'), cardOf(finished));
}
