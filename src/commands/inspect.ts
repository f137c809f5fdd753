import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe } from '../checkpoints/describe.js';
import { bundlePrefix } from '../checkpoints/find-weights.js';
import { exitCodes } from '../errors.js';
import { resolveModelSource } from '../sources/resolve.js';
import type { Reporter } from '../ui/reporter.js';
import { descriptionText } from './inspect-text.js';

export interface InspectOptions {
  /** a folder, a file, the prefix of a TensorFlow checkpoint, or a model source; relative to the current directory */
  readonly source: string;
  /** long lists are not cut in the text */
  readonly allTensors: boolean;
}

/** `t4 inspect`: what a checkpoint, run or export holds. Resolves to the exit code. */
export async function inspect(options: InspectOptions, ui: Reporter): Promise<number> {
  const { source } = options;
  const isHere = existsSync(source) || bundlePrefix(source) !== undefined;
  const path = isHere ? resolve(source) : await resolveModelSource(source, process.cwd(), { reporter: ui });
  const description = describe(path);
  ui.json({ source, ...description });
  ui.result(descriptionText(source, description, options.allTensors ? Infinity : mostShown));
  return description.model?.damaged === true ? exitCodes.files : exitCodes.ok;
}

const mostShown = 20;
