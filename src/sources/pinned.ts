import { basename } from 'node:path';
import { isCommit } from './hub-cache.js';
import { parseModelSource } from './source.js';

/**
 * A source that means the same for good: one of the hub with the commit that it was found at, since branches and tags move
 * on.
 *
 * @param folder what resolveModelSource has made of it
 */
export function pinnedSource(source: string, folder: string): string {
  const parsed = parseModelSource(source);
  const commit = basename(folder);
  return parsed?.kind === 'hub' && isCommit(commit) ? `hf:${parsed.repository}@${commit}` : source;
}

/** Whether a source may have been pinned as `pinned`: it names no other commit. */
export function mayBePinnedAs(source: string, pinned: string): boolean {
  if (source === pinned) return true;
  const [asked, held] = [parseModelSource(source), parseModelSource(pinned)];
  if (asked?.kind !== 'hub' || held?.kind !== 'hub' || asked.repository !== held.repository) return false;
  return isCommit(held.revision ?? '') && !isCommit(asked.revision ?? '');
}
