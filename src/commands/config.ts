import { UserError } from '../errors.js';
import type { Reporter } from '../ui/reporter.js';
import type { ConfigShowOptions } from './options.js';

export const configShow: (options: ConfigShowOptions, ui: Reporter) => Promise<number> = () =>
  Promise.reject(new UserError('usage', 'config show is not part of this build yet'));

export const configSchema: (ui: Reporter) => Promise<number> = () =>
  Promise.reject(new UserError('usage', 'config schema is not part of this build yet'));
