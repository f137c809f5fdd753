import { showExamples } from '../data-check/examples.js';
import { shownText } from '../data-check/show-text.js';
import { tokenizerAtHand } from '../data-check/tokenizer-at-hand.js';
import { exitCodes, UserError } from '../errors.js';
import { loadTask } from '../task/load.js';
import type { Reporter } from '../ui/reporter.js';
import type { Split } from './options.js';

export interface DataShowOptions {
  /** a name in tasks/ or the path of a .yaml file */
  readonly task: string;
  readonly model: string | undefined;
  /** the folder that data paths are relative to */
  readonly data: string | undefined;
  /** `key=value`, in order */
  readonly set: readonly string[];
  readonly split: Split;
  /** how many examples */
  readonly most: number;
  /** columns of the terminal */
  readonly width: number;
}

/** `t4 data show`: some examples as the model sees them. Resolves to the exit code. */
export function dataShow(options: DataShowOptions, ui: Reporter): number {
  const { task, model, data, set, split, most, width } = options;
  const resolved = loadTask({ task, model, dataDir: data, overrides: set });
  const atHand = tokenizerAtHand(resolved);
  if ('reason' in atHand) {
    throw new UserError(
      'environment',
      `there is no tokenizer to show the data with: ${atHand.reason}`,
      'Fetch the model with t4 finetune --dry-run, or name another one: --model FOLDER.',
    );
  }
  const { file, examples } = showExamples(resolved, split, most, atHand.tokenizer);
  for (const note of atHand.tokenizer.notes) ui.info(note);
  ui.json({ task: resolved.name, split, file, max_length: resolved.config.model.max_length, examples });
  ui.result(examples.map((example) => shownText(file, example, width)).join('\n\n'));
  return exitCodes.ok;
}
