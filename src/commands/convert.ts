import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { Checkpoint } from '../checkpoints/checkpoint.js';
import { openCheckpoint, recogniseFormat } from '../checkpoints/open.js';
import type { TensorToStore } from '../checkpoints/stored-tensor.js';
import { targetTensors, writeModelFiles, writeWeights, type WrittenFormat } from '../checkpoints/write-model.js';
import { planWrite } from '../checkpoints/write-plan.js';
import { exitCodes, UserError } from '../errors.js';
import { parseModelSource } from '../sources/source.js';
import { resolveModelSource } from '../sources/resolve.js';
import { watchInterrupts, type InterruptWatch } from '../training/interrupt.js';
import type { Reporter } from '../ui/reporter.js';
import { commandLine } from './command-line.js';
import { beginFolder, refuseExisting } from './convert-output.js';
import { conversionOf, conversionText, sourceText, summariseSource, type Conversion } from './convert-report.js';

export interface ConvertOptions {
  /** a folder, or hf:owner/name */
  readonly source: string;
  readonly from: 'auto' | Checkpoint['format'];
  readonly to: WrittenFormat;
  /** undefined: named after the source, in the current folder */
  readonly output: string | undefined;
  /** compare what both models compute */
  readonly verify: boolean;
}

/** `t4 convert`: a checkpoint in another format. Resolves to the exit code. */
export async function convert(options: ConvertOptions, ui: Reporter): Promise<number> {
  const output = options.output ?? defaultOutput(options);
  refuseExisting(output);
  const folder = modelFolder(await resolveModelSource(options.source, process.cwd(), { reporter: ui }));
  const checkpoint = openCheckpoint(folder, options.from === 'auto' ? undefined : options.from);
  try {
    const result = await write(checkpoint, output, options, ui);
    if (typeof result === 'number') return result;
    ui.json(result);
    ui.result(conversionText(result));
    return exitCodes.ok;
  } finally {
    checkpoint.close();
  }
}

/** A run keeps its model in model/. Throws UserError 'files' where it has none yet. */
function modelFolder(folder: string): string {
  if (!existsSync(join(folder, 'task.yaml')) || recogniseFormat(folder) !== undefined) return folder;
  if (existsSync(join(folder, 'model', 'config.json'))) return join(folder, 'model');
  throw new UserError(
    'files',
    `${folder} is a run without a finished model`,
    `Continue it: ${commandLine('finetune', '--output', folder, '--resume')}`,
  );
}

function defaultOutput({ source, to }: ConvertOptions): string {
  const parsed = parseModelSource(source);
  switch (parsed?.kind) {
    case 'hub':
      return `${basename(parsed.repository)}-${to}`;
    case 'pypi':
      return `${parsed.name}-${to}`;
    case 'folder':
    case undefined:
      return `${basename(resolve(source))}-${to}`;
  }
}

/** @returns the exit code where a signal ended it */
async function write(
  checkpoint: Checkpoint,
  output: string,
  { source, to, verify }: ConvertOptions,
  ui: Reporter,
): Promise<Conversion | number> {
  const plan = planWrite(checkpoint);
  const summary = summariseSource(source, checkpoint);
  ui.info(`source: ${sourceText(summary)}`);
  const { tensors, added, architecture } = targetTensors(checkpoint, plan, to);
  const target = beginFolder(output);
  const watch = watchInterrupts(
    (signal) => {
      ui.info(`${signal}: ending; nothing is kept`);
    },
    () => {
      target.discard();
    },
  );
  try {
    const tokenizer = writeModelFiles(checkpoint, plan, to, target.path);
    if (!(await writeAll(target.path, to, tensors, watch, ui))) return watch.exitCode ?? exitCodes.bug;
    const difference = verify ? await verified(checkpoint, target.path, ui) : undefined;
    if (watch.exitCode !== undefined) return watch.exitCode;
    target.finish();
    for (const note of tokenizer.notes) ui.warn(note);
    const written = { plan, tensors, added, architecture, tokenizer, difference };
    return conversionOf({ ...written, source: summary, folder: output, format: to });
  } finally {
    watch.stop();
    target.discard();
  }
}

/** Writes the weights with a bar; false where a signal ended it. */
async function writeAll(
  folder: string,
  to: WrittenFormat,
  tensors: readonly TensorToStore[],
  watch: InterruptWatch,
  ui: Reporter,
): Promise<boolean> {
  const bar = ui.bar(tensors.length, 'converting (tensors)');
  let done = 0;
  try {
    for (const { name } of writeWeights(folder, to, tensors)) {
      bar.update(++done, { tensor: name });
      await watch.poll();
      if (watch.exitCode !== undefined) return false;
    }
  } finally {
    bar.stop();
  }
  return true;
}

/** Throws where the two differ. The import loads TensorFlow, which nothing else here needs. */
async function verified(source: Checkpoint, folder: string, ui: Reporter): Promise<number> {
  const { restrictDevice } = await import('../training/device.js');
  restrictDevice('cpu');
  const { compareModels } = await import('./convert-verify.js');
  return compareModels(source, folder, ui);
}
