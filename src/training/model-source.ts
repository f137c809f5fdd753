import { dirname } from 'node:path';
import { UserError } from '../errors.js';
import { openHuggingFace, parseConfig, planLoad, readJson, type LoadPlan } from '../checkpoints/huggingface.js';
import { withDropout, type BertConfig } from '../models/bert-config.js';
import { classifierVariables } from '../models/classifier.js';
import type { ResolvedTask } from '../task/load.js';
import { resolveModelSource } from '../sources/resolve.js';
import type { Tokenizer } from '../tokenization/tokenizer.js';
import type { Reporter } from '../ui/reporter.js';

/** The model a task starts from, with its weights still on disk. */
export interface StartingModel {
  readonly config: BertConfig;
  /** The folder of the tokenizer's files. */
  readonly tokenizerFolder: string;
  /** What is loaded; undefined: all weights are random. */
  planLoad(labels: readonly string[]): LoadPlan | undefined;
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
  const adapt = (config: BertConfig): BertConfig => (dropout === null ? config : withDropout(config, dropout));
  if (model.kind === 'random') {
    const path = model.config.path;
    const { config } = parseConfig(path, readJson(path, `${path} does not exist`));
    return {
      config: adapt(config),
      tokenizerFolder: model.vocab.path,
      planLoad: () => undefined,
      close: () => undefined,
    };
  }
  const folder = await resolveModelSource(model.source, dirname(task.file), { reporter });
  const checkpoint = openHuggingFace(folder);
  return {
    config: adapt(checkpoint.config),
    tokenizerFolder: folder,
    planLoad: (labels) => {
      // A head is taken over only where it answers with the same labels.
      const sameLabels = checkpoint.labels?.join('\n') === labels.join('\n');
      const specs = classifierVariables(checkpoint.config, labels.length);
      return planLoad(checkpoint, specs, sameLabels ? labels.length : undefined);
    },
    close: () => {
      checkpoint.close();
    },
  };
}

/** Throws UserError where texts would not fit the model: more positions or ids than its tables have rows. */
export function checkFit(config: BertConfig, tokenizer: Tokenizer, maxLength: number): void {
  if (maxLength > config.max_position_embeddings) {
    throw new UserError(
      'usage',
      `model.max_length: got ${maxLength}, the model has ${config.max_position_embeddings} positions`,
      `Use --set model.max_length=${config.max_position_embeddings} or less.`,
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
