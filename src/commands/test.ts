import { UserError } from '../errors.js';
import type { Reporter } from '../ui/reporter.js';
import type { TestOptions } from './options.js';

/** Placeholder until the training engine lands. */
export const test: (options: TestOptions, ui: Reporter) => Promise<number> = () =>
  Promise.reject(new UserError('usage', 'test is not part of this build yet'));
