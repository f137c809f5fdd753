import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, statfs, type FileHandle } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from '../errors.js';
import { formatBytes } from '../ui/format.js';
import { get, persistently, TransientError, type Answer, type Hub } from './hub-client.js';
import { isCached, roomHint } from './hub-cache.js';
import { claimPartial, completePartial, dropPartial, releasePartial } from './hub-partial.js';

/** A file of a repository as the hub lists it. */
export interface HubFile {
  readonly name: string;
  readonly size: number;
  /** Its name among the blobs, and what its content must hash to. */
  readonly etag: string;
  /** Large files are named by the SHA-256 of their content, others by git's SHA-1 of the blob. */
  readonly hash: 'sha256' | 'git-sha1';
}

interface Download {
  readonly hub: Hub;
  readonly url: string;
  readonly file: HubFile;
  /** Bytes of this file that are there. */
  readonly onProgress: (done: number) => void;
}

/**
 * Fetches a blob, continuing what an earlier attempt left, checks it and puts it in its place.
 * Throws UserError: 'environment' where the hub cannot be reached, 'files' for a wrong size or hash and where there is no
 * room for it.
 * What has arrived is kept unless it is wrong.
 */
export async function downloadBlob(download: Download, blob: string): Promise<void> {
  const { hub, file } = download;
  const path = await claim(download, blob);
  if (path === undefined) return;
  try {
    await fetchInto(download, path);
    await completePartial(path, blob);
  } catch (error) {
    if (error instanceof WrongContentError) {
      await dropPartial(path);
      throw new UserError(
        'files',
        `hf:${hub.repository}: ${file.name} ${error.message}`,
        'It has been deleted: run the same command again. If it happens again, the hub, a mirror or a proxy is at fault.',
      );
    }
    await releasePartial(path, dirname(blob), file.etag);
    throw error;
  }
}

/** The file to download into; undefined when another process has downloaded the blob meanwhile. */
async function claim({ hub, file, onProgress }: Download, blob: string): Promise<string | undefined> {
  for (let told = false; ;) {
    if (isCached(blob, file.size)) {
      onProgress(file.size);
      return undefined;
    }
    const claimed = await claimPartial(dirname(blob), basename(blob));
    if ('path' in claimed) {
      if (!isCached(blob, file.size)) return claimed.path;
      // Completed between the two looks.
      await dropPartial(claimed.path);
      continue;
    }
    if (!told) hub.warn(`process ${claimed.busy} is downloading ${file.name}: waiting for it`);
    told = true;
    await sleep(hub.timing.poll);
  }
}

/** Its message continues the file's name. */
class WrongContentError extends Error {}

/** What is in the partial file, and the hash over it. */
interface Written {
  size: number;
  /** The largest size so far: what a server that begins anew sends again is no progress. */
  furthest: number;
  hash: Hash;
}

async function fetchInto(download: Download, path: string): Promise<void> {
  const { hub, file, onProgress } = download;
  // The file exists; neither 'w' nor 'a', for what is in it stays and is written behind.
  const handle = await open(path, 'r+');
  try {
    const written = await hashExisting(path, handle, file);
    onProgress(written.size);
    await refuseFullDisk(path, file, written.size);
    while (written.size < file.size) {
      await persistently(hub, (progressed) => fetchRest(download, handle, written, progressed));
    }
    const got = written.hash.digest('hex');
    if (got !== file.etag) throw new WrongContentError(`has the ${file.hash} ${got}, expected ${file.etag}`);
    // A power cut must not leave a blob under its final name without its content.
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The hash over what an earlier attempt left; a file that is too long is begun anew. */
async function hashExisting(path: string, handle: FileHandle, file: HubFile): Promise<Written> {
  const { size } = await handle.stat();
  const hash = newHash(file);
  if (size > file.size) {
    await handle.truncate(0);
    return { size: 0, furthest: 0, hash };
  }
  let hashed = 0;
  for await (const chunk of createReadStream(path)) {
    if (!Buffer.isBuffer(chunk)) throw new Error('a stream without encoding gave text');
    hash.update(chunk);
    hashed += chunk.length;
  }
  return { size: hashed, furthest: hashed, hash };
}

function newHash({ hash, size }: HubFile): Hash {
  if (hash === 'sha256') return createHash('sha256');
  // What git hashes: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
  return createHash('sha1').update(`blob ${size}\0`);
}

/** One request for all that is missing. Throws TransientError where not all of it came. */
async function fetchRest(
  { hub, url, file, onProgress }: Download,
  handle: FileHandle,
  written: Written,
  progressed: () => void,
): Promise<void> {
  const range: Record<string, string> = written.size === 0 ? {} : { Range: `bytes=${written.size}-` };
  // Without compression, positions in the answer are positions in the file.
  const answer = await get(hub, url, { ...range, 'Accept-Encoding': 'identity' });
  if (!continuesAt(answer, written.size)) {
    await handle.truncate(0);
    written.size = 0;
    written.hash = newHash(file);
    onProgress(0);
    if (answer.status !== 200) {
      await answer.discard();
      throw new TransientError(`${new URL(url).host} did not continue ${file.name} where it was cut`);
    }
  }
  const total = announcedSize(answer);
  if (total !== undefined && total !== file.size) {
    await answer.discard();
    throw new WrongContentError(`has ${total} bytes, expected ${file.size} as the hub lists it`);
  }
  for await (const chunk of answer.chunks()) {
    if (written.size + chunk.length > file.size) {
      throw new WrongContentError(`has more than the ${file.size} bytes that the hub lists`);
    }
    await writeAll(handle, chunk, written.size);
    written.hash.update(chunk);
    written.size += chunk.length;
    if (written.size > written.furthest) {
      written.furthest = written.size;
      progressed();
    }
    onProgress(written.size);
  }
  if (written.size < file.size) {
    throw new TransientError(`${file.name} ended after ${written.size} of ${file.size} bytes`);
  }
}

function continuesAt({ status, headers }: Answer, position: number): boolean {
  if (position === 0) return status === 200;
  return status === 206 && headers.get('content-range')?.startsWith(`bytes ${position}-`) === true && isPlain(headers);
}

/** The size of the whole file by this answer; undefined where it does not say. */
function announcedSize({ status, headers }: Answer): number | undefined {
  const text =
    status === 206 ? headers.get('content-range')?.split('/')[1] : isPlain(headers) && headers.get('content-length');
  return typeof text === 'string' && /^\d+$/.test(text) ? Number(text) : undefined;
}

function isPlain(headers: Headers): boolean {
  return (headers.get('content-encoding') ?? 'identity') === 'identity';
}

async function writeAll(handle: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < chunk.length) {
    const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, position + done);
    done += bytesWritten;
  }
}

/** Better said before an hour of download than after it. */
async function refuseFullDisk(path: string, file: HubFile, there: number): Promise<void> {
  const { bavail, bsize, blocks } = await statfs(dirname(path));
  // Some network file systems do not tell.
  if (blocks === 0 || bavail * bsize >= file.size - there) return;
  throw new UserError(
    'files',
    `${file.name} needs ${formatBytes(file.size - there)}, ${dirname(path)} has ${formatBytes(bavail * bsize)} left`,
    roomHint,
  );
}
