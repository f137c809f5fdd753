import { restrictDevice } from '../training/device.js';
import type { Reporter } from '../ui/reporter.js';
import type { ExportOptions } from './options.js';

/** `t4 export`: a fine-tuned model for production. Resolves to the exit code. */
export async function exportModel(options: ExportOptions, ui: Reporter): Promise<number> {
  // A GPU multiplies fp32 with fewer digits, and the export is compared digit by digit.
  restrictDevice('cpu');
  // The import loads TensorFlow, which looks for devices once.
  const { runExport } = await import('./export-run.js');
  return runExport(options, ui);
}
