import { dirname } from 'node:path';
import { UserError } from '../errors.js';
import { planLoad, type LoadPlan } from '../checkpoints/checkpoint.js';
import { readConfigFile } from '../checkpoints/config-file.js';
import { openCheckpoint } from '../checkpoints/open.js';
import { maxTokens, withDropout, type ModelConfig } from '../models/model-config.js';
import type { VariableSpec } from '../models/variables.js';
import type { ResolvedTask } from '../task/load.js';
import { pinnedSource } from '../sources/pinned.js';
import { resolveModelSource } from '../sources/resolve.js';
import type { Tokenizer } from '../tokenization/tokenizer.js';
import type { Reporter } from '../ui/reporter.js';

/** The model a task starts from, with its weights still on disk. */
export interface StartingModel {
  readonly config: ModelConfig;
  /** The task's source as it means the same for good (see pinnedSource); undefined: all weights are random. */
  readonly source: string | undefined;
  /** The folder of the tokenizer's files. */
  readonly tokenizerFolder: string;
  /** What is loaded; undefined: all weights are random. */
  planLoad(variables: readonly VariableSpec[], labels: readonly string[]): LoadPlan | undefined;
  close(): void;
}

/**
 * Opens the model that the task names, fetching it first where it is not on this machine yet.
 * Throws UserError where it is not there or not supported.
 * @param reporter shows the download; none: it is silent
 */
export async function openStartingModel(task: ResolvedTask, reporter?: Reporter): Promise<StartingModel> {
  const { model } = task;
  const { dropout } = task.config.model;
  const adapt = (config: ModelConfig): ModelConfig => (dropout === null ? config : withDropout(config, dropout));
  if (model.kind === 'random') {
    const path = model.config.path;
    const { config } = readConfigFile(path, `${path} does not exist`);
    return {
      config: adapt(config),
      source: undefined,
      tokenizerFolder: model.vocab.path,
      planLoad: () => undefined,
      close: () => undefined,
    };
  }
  const folder = await resolveModelSource(model.source, dirname(task.file), { reporter });
  const checkpoint = openCheckpoint(folder);
  return {
    config: adapt(checkpoint.config),
    source: pinnedSource(model.source, folder),
    tokenizerFolder: folder,
    planLoad: (variables, labels) => {
      // A head is taken over only where it answers with the same labels.
      const sameLabels = checkpoint.labels?.join('\n') === labels.join('\n');
      return planLoad(checkpoint, variables, sameLabels);
    },
    close: () => {
      checkpoint.close();
    },
  };
}

/** Throws UserError where texts would not fit the model: more positions or ids than its tables have rows. */
export function checkFit(config: ModelConfig, tokenizer: Tokenizer, maxLength: number): void {
  const longest = maxTokens(config);
  if (maxLength > longest) {
    throw new UserError(
      'usage',
      `model.max_length: got ${maxLength}, the model has ${longest} positions`,
      `Use --set model.max_length=${longest} or less.`,
    );
  }
  if (tokenizer.vocabSize > config.vocab_size) {
    throw new UserError(
      'files',
      `the tokenizer has ids up to ${tokenizer.vocabSize - 1}, the model's vocabulary ends at ${config.vocab_size - 1}`,
      'The vocabulary and the weights belong to different models.',
    );
  }
}
