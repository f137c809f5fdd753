import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** Where the set-up keeps what it fetches; tools/setup/files.mjs has the same rule. */
export function cacheFolder(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const base = env.XDG_CACHE_HOME;
  // The XDG specification says to ignore a relative path.
  return join(base !== undefined && isAbsolute(base) ? base : join(homedir(), '.cache'), 't4');
}
