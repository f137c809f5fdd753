import { UserError } from '../errors.js';
import type { Reporter } from '../ui/reporter.js';
import type { FinetuneOptions } from './options.js';

/** Placeholder until the training engine lands. */
export const finetune: (options: FinetuneOptions, ui: Reporter) => Promise<number> = () =>
  Promise.reject(new UserError('usage', 'finetune is not part of this build yet'));
