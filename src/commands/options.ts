/** What each command is called with, from the command line or from code; the flags are in `<command>-cli.ts`. */

export const devices = ['auto', 'cpu', 'gpu'] as const;
export type Device = (typeof devices)[number];

export const splits = ['train', 'dev', 'test'] as const;
export type Split = (typeof splits)[number];

export interface FinetuneOptions {
  /** a name in tasks/ or a path to a .yaml file */
  readonly task: string;
  /** a model source that replaces the task's; relative to the current directory */
  readonly model: string | undefined;
  /** the folder that data paths are relative to */
  readonly data: string | undefined;
  /** the run folder; undefined: runs/<task>-<date>-<time> */
  readonly output: string | undefined;
  /** `key=value`, in order; `--keep N` arrives here as `training.keep=N` */
  readonly set: readonly string[];
  /** continue the run in `output` */
  readonly resume: boolean;
  readonly device: Device;
  /** check task, data and model, and say what would be done */
  readonly dryRun: boolean;
}

export interface TestOptions {
  /** a run folder or a model folder */
  readonly checkpoint: string;
  readonly split: Split;
  /** a data file that replaces the task's */
  readonly data: string | undefined;
  /** where test.json and predictions.jsonl go; undefined: beside the checkpoint */
  readonly output: string | undefined;
  readonly device: Device;
}

export interface ConfigShowOptions {
  readonly task: string;
  readonly model: string | undefined;
  readonly data: string | undefined;
  readonly set: readonly string[];
}
