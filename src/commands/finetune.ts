import { restrictDevice } from '../training/device.js';
import type { Reporter } from '../ui/reporter.js';
import type { FinetuneOptions } from './options.js';

/** `t4 finetune`: trains a task's model into a run folder. Resolves to the exit code. */
export async function finetune(options: FinetuneOptions, ui: Reporter): Promise<number> {
  restrictDevice(options.device);
  // The import loads TensorFlow, which looks for devices once.
  const { runFinetune } = await import('./finetune-run.js');
  return runFinetune(options, ui);
}
