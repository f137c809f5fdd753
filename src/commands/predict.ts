import { restrictDevice } from '../training/device.js';
import type { Reporter } from '../ui/reporter.js';
import type { PredictOptions } from './options.js';

/** `t4 predict`: what a model says of new texts, to `stdout` or a file. Resolves to the exit code. */
export async function predict(
  options: PredictOptions,
  ui: Reporter,
  stdout: NodeJS.WritableStream = process.stdout,
): Promise<number> {
  restrictDevice(options.device);
  // The import loads TensorFlow, which looks for devices once.
  const { runPredict } = await import('./predict-run.js');
  return runPredict(options, ui, stdout);
}
