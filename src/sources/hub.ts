import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { listFiles, modelInfo } from '@huggingface/hub';
import { z } from 'zod';
import { UserError } from '../errors.js';
import { formatBytes } from '../ui/format.js';
import type { Bar, Reporter } from '../ui/reporter.js';
import {
  cacheRefusal,
  cachedFiles,
  cachedSnapshot,
  isCached,
  isCommit,
  linkBlob,
  repositoryFolder,
  snapshotFolder,
  writeRef,
} from './hub-cache.js';
import { defaultTiming, get, persistently, readText, unexpected, type Hub, type HubTiming } from './hub-client.js';
import { downloadBlob, type HubFile } from './hub-download.js';
import { hubEnvironment, hubToken, officialEndpoint, type HubEnvironment } from './hub-environment.js';
import { hasVocabulary, missingPart, neededFiles, refuseUnsafeName } from './hub-files.js';

export interface HubOptions {
  /** Shows the download; none: it is silent. */
  readonly reporter?: Reporter | undefined;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly timing?: HubTiming;
}

interface HubSource {
  readonly repository: string;
  readonly revision: string | undefined;
}

/**
 * The folder of a model of the Hugging Face hub, in the cache that Python's huggingface_hub uses too. Fetches what is
 * missing of the files that a model is read from, and nothing else.
 * Throws UserError: 'usage' for a repository or revision that is not there, 'environment' where the hub cannot be
 * reached or refuses, 'files' for repositories without a model, for downloads that are wrong, and for a cache that has
 * no room or may not be written to.
 */
export async function resolveHubModel(source: HubSource, options: HubOptions = {}): Promise<string> {
  const environment = hubEnvironment(options.env ?? process.env);
  try {
    return await resolveIn(environment, source, options);
  } catch (error) {
    throw cacheRefusal(error, environment.cacheFolder) ?? error;
  }
}

async function resolveIn(environment: HubEnvironment, source: HubSource, options: HubOptions): Promise<string> {
  const { reporter } = options;
  const revision = source.revision ?? 'main';
  const folder = repositoryFolder(environment.cacheFolder, source.repository);
  const cached = cachedSnapshot(folder, revision);
  if (environment.offline) return cached ?? notCached(source, folder);
  // A commit never changes, so there is nothing to ask for; Transformers may have left it without its vocabulary.
  if (cached !== undefined && isCommit(revision) && hasVocabulary(cachedFiles(cached))) return cached;
  const hub = openHub(source.repository, revision, environment, options);
  let listing: Listing;
  try {
    listing = await list(hub, cached !== undefined);
  } catch (error) {
    if (cached === undefined || !(error instanceof UserError) || error.kind !== 'environment') throw error;
    reporter?.warn(`${error.message}; taking hf:${source.repository} from the cache, ${cached}`);
    return cached;
  }
  return fetchSnapshot(hub, listing, { folder, symlinks: environment.symlinks, reporter });
}

function notCached({ repository, revision }: HubSource, folder: string): never {
  throw new UserError(
    'environment',
    `HF_HUB_OFFLINE is set, and hf:${repository}${revision === undefined ? '' : `@${revision}`} is not in the cache ` +
      `(${folder}), or not whole`,
    'Fetch it once with HF_HUB_OFFLINE=0. HF_HOME names the cache where it is not ~/.cache/huggingface.',
  );
}

function openHub(repository: string, revision: string, { endpoint }: HubEnvironment, options: HubOptions): Hub {
  const { env = process.env, reporter, timing = defaultTiming } = options;
  const token = hubToken(env);
  if (token !== undefined && endpoint !== officialEndpoint) {
    reporter?.info(`HF_ENDPOINT: the access token is sent to ${endpoint}`);
  }
  return {
    endpoint,
    token,
    repository,
    revision,
    timing,
    warn: (line) => reporter?.warn(line),
  };
}

interface Listing {
  readonly commit: string;
  readonly files: readonly HubFile[];
}

const infoSchema = z.object({ sha: z.string().refine(isCommit) });
const entrySchema = z.object({
  type: z.string(),
  path: z.string(),
  size: z.int().min(0),
  oid: z.string().regex(/^[0-9a-f]{40}$/),
  lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/), size: z.int().min(0) }).optional(),
});

/** What the revision is at and the files in its root. @param once without a second attempt: there is a cached copy */
async function list(hub: Hub, once: boolean): Promise<Listing> {
  const patient = once ? { ...hub, timing: { ...hub.timing, retryDelays: [] } } : hub;
  const common = { hubUrl: hub.endpoint, fetch: apiFetch(patient) };
  try {
    const info = await modelInfo({
      ...common,
      name: hub.repository,
      revision: hub.revision,
      additionalFields: ['sha'],
    });
    const { sha: commit } = infoSchema.parse(info);
    const files: HubFile[] = [];
    const repo = { type: 'model', name: hub.repository } as const;
    for await (const entry of listFiles({ ...common, repo, revision: commit })) {
      const { type, path, size, oid, lfs } = entrySchema.parse(entry);
      refuseUnsafeName(hub.repository, path);
      if (type !== 'file') continue;
      files.push(
        lfs === undefined
          ? { name: path, size, etag: oid, hash: 'git-sha1' }
          : { name: path, size: lfs.size, etag: lfs.oid, hash: 'sha256' },
      );
    }
    return { commit, files };
  } catch (error) {
    // Of JSON that is none, or says something else.
    if (error instanceof SyntaxError || error instanceof z.ZodError) {
      throw unexpected(hub, `${hub.endpoint} describes hf:${hub.repository} in a way that t4 does not know`);
    }
    throw error;
  }
}

/** `fetch` for the hub's library, which has no retries, no time-outs, and wants to see only tokens of one kind. */
function apiFetch(hub: Hub): typeof fetch {
  return (input) => {
    const url = input instanceof Request ? input.url : String(input);
    return persistently(hub, async () => {
      const answer = await get(hub, url, { Accept: 'application/json' });
      if (answer.status === 416) throw unexpected(hub, `${url} answered 416`);
      // Read here, where a connection that breaks half-way means another attempt.
      return new Response(await readText(answer), { headers: answer.headers });
    });
  };
}

interface Target {
  readonly folder: string;
  readonly symlinks: boolean;
  readonly reporter: Reporter | undefined;
}

async function fetchSnapshot(hub: Hub, { commit, files }: Listing, target: Target): Promise<string> {
  const { folder, symlinks, reporter } = target;
  const needed = filesOf(hub, files);
  const snapshot = snapshotFolder(folder, commit);
  const absent = needed.filter(({ name, size }) => !isCached(join(snapshot, name), size));
  if (absent.length > 0) {
    const blobs = join(folder, 'blobs');
    await mkdir(blobs, { recursive: true });
    const total = absent.reduce((sum, { size }) => sum + size, 0);
    const progress = startProgress(reporter, hub.repository, total);
    try {
      for (const file of absent) {
        const blob = join(blobs, file.etag);
        const url = `${hub.endpoint}/${hub.repository}/resolve/${commit}/${encodeURIComponent(file.name)}`;
        await downloadBlob({ hub, url, file, onProgress: progress.file }, blob);
        await linkBlob(snapshot, file.name, blob, symlinks);
        progress.next(file.size);
      }
    } finally {
      progress.stop();
    }
    reporter?.info(`hf:${hub.repository}: ${formatBytes(total)} in ${snapshot}`);
  }
  // Last, so that without the network a revision is never found half-way.
  await writeRef(folder, hub.revision, commit);
  return snapshot;
}

/** Throws UserError where they do not make up a model. */
function filesOf(hub: Hub, files: readonly HubFile[]): HubFile[] {
  const names = files.map(({ name }) => name);
  const missing = missingPart(names);
  if (missing === undefined) {
    const needed = neededFiles(names);
    return needed.map((name) => files.find((file) => file.name === name)!);
  }
  const there = names.length === 0 ? 'it has no files' : `it has ${names.slice(0, 20).join(', ')}`;
  throw new UserError(
    'files',
    `hf:${hub.repository} has no ${missing}: ${there}${names.length > 20 ? ', ...' : ''}`,
    'Weights are read from model.safetensors, pytorch_model.bin or a TensorFlow checkpoint (*.ckpt.index), ' +
      'with config.json beside them.',
  );
}

interface DownloadProgress {
  /** @param done bytes of the file at work */
  readonly file: (done: number) => void;
  next(size: number): void;
  stop(): void;
}

/** One bar over all files, in a unit in which even small models are more than 0. */
function startProgress(reporter: Reporter | undefined, repository: string, total: number): DownloadProgress {
  const [unit, bytes] = total < 1024 ** 2 ? ['KiB', 1024] : ['MiB', 1024 ** 2];
  const inUnits = (size: number): number => Math.round((size / bytes) * 10) / 10;
  let before = 0;
  let bar: Bar | undefined;
  return {
    file: (done) => {
      // Begun with what an earlier attempt left, which is no measure of how fast the network is.
      bar ??= reporter?.bar(inUnits(total), `downloading ${repository} (${unit})`, inUnits(before + done));
      bar?.update(inUnits(before + done));
    },
    next: (size) => {
      before += size;
    },
    stop: () => bar?.stop(),
  };
}
