import { UserError } from '../errors.js';

/** Placeholder until the set-up engineer's version lands. */
export const resolvePypiModel: (name: string, version: string) => string = (name, version) => {
  throw new UserError('environment', `pypi:${name}@${version}: not part of this build yet`);
};
