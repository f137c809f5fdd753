import { restrictDevice } from '../training/device.js';
import type { Reporter } from '../ui/reporter.js';
import type { TestOptions } from './options.js';

/** `t4 test`: measures a fine-tuned model on labelled data. Resolves to the exit code. */
export async function test(options: TestOptions, ui: Reporter): Promise<number> {
  restrictDevice(options.device);
  // The import loads TensorFlow, which looks for devices once.
  const { runTest } = await import('./test-run.js');
  return runTest(options, ui);
}
