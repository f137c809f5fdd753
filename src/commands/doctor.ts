import { UserError } from '../errors.js';
import type { Reporter } from '../ui/reporter.js';

export const doctor: (ui: Reporter) => Promise<number> = () =>
  Promise.reject(new UserError('usage', 'doctor is not part of this build yet'));
