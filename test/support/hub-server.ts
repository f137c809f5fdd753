import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

/** A hub on this machine: the parts of its protocol that model downloads use. Large files come from a second origin. */

export interface HostedFile {
  readonly content: Buffer;
  /** Kept outside of git, named by its SHA-256, and served through a redirect. */
  readonly lfs: boolean;
  /** What the hub says of it where that is wrong. */
  readonly listedSize?: number;
}

export interface HostedModel {
  /** By name; `lfs` is for weights. */
  readonly files: Readonly<Record<string, HostedFile>>;
  /** 40 hexadecimal digits */
  readonly commit: string;
  /** Branches and tags at that commit. */
  readonly refs: readonly string[];
}

export interface Seen {
  readonly origin: 'hub' | 'cdn';
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

/** What goes wrong; tests set it and change it in between. */
export interface Faults {
  /** Answers before all else; each for one request whose path contains `path`, in this order. */
  answers: { readonly path: string; readonly status: number; readonly headers?: Readonly<Record<string, string>> }[];
  /** The next bodies of large files break after so many bytes. */
  cuts: number[];
  /** The next bodies of large files stop after so many bytes, and the connection stays open. */
  hangs: number[];
  ignoresRange: boolean;
  /** Served in place of the right content, by the name of the file. */
  lies: Readonly<Record<string, Buffer>>;
  /** Bodies come without their length. */
  chunked: boolean;
  /** Large files begin only when this resolves. */
  gate: Promise<void> | undefined;
}

export interface HubServer {
  readonly url: string;
  readonly cdnUrl: string;
  readonly models: Map<string, HostedModel>;
  readonly seen: Seen[];
  readonly faults: Faults;
  close(): Promise<void>;
}

export const text = (content: string): HostedFile => ({ content: Buffer.from(content), lfs: false });
export const weights = (content: Buffer): HostedFile => ({ content, lfs: true });

export const sha256 = (content: Buffer): string => createHash('sha256').update(content).digest('hex');

const gitHash = (content: Buffer): string =>
  createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');

/** The name of the blob, as hub and cache have it. */
export const etagOf = ({ content, lfs }: HostedFile): string => (lfs ? sha256(content) : gitHash(content));

export async function startHubServer(): Promise<HubServer> {
  const models = new Map<string, HostedModel>();
  const seen: Seen[] = [];
  const faults: Faults = {
    answers: [],
    cuts: [],
    hangs: [],
    ignoresRange: false,
    lies: {},
    chunked: false,
    gate: undefined,
  };
  const cdn = createServer((request, response) => {
    note('cdn', request, seen);
    void serveBlob(request, response, models, faults);
  });
  const cdnUrl = await listen(cdn);
  const hub = createServer((request, response) => {
    note('hub', request, seen);
    if (!isFaulty(request, response, faults)) serveHub(request, response, { models, cdnUrl, faults });
  });
  const url = await listen(hub);
  const close = async (): Promise<void> => {
    for (const server of [hub, cdn]) {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    }
  };
  return { url, cdnUrl, models, seen, faults, close };
}

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return `http://127.0.0.1:${address.port}`;
}

function note(origin: 'hub' | 'cdn', { method = '', url = '', headers }: IncomingMessage, seen: Seen[]): void {
  seen.push({ origin, method, path: url, authorization: headers.authorization, range: headers.range });
}

function isFaulty({ url = '' }: IncomingMessage, response: ServerResponse, { answers }: Faults): boolean {
  const [next] = answers;
  if (next === undefined || !url.includes(next.path)) return false;
  answers.shift();
  response.writeHead(next.status, { 'Content-Type': 'text/plain', ...next.headers }).end('no');
  return true;
}

interface Hosting {
  readonly models: ReadonlyMap<string, HostedModel>;
  readonly cdnUrl: string;
  readonly faults: Faults;
}

function serveHub(request: IncomingMessage, response: ServerResponse, { models, cdnUrl, faults }: Hosting): void {
  const path = new URL(request.url ?? '', 'http://hub').pathname;
  const api = /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree)\/([^/]+)$/.exec(path);
  const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(path);
  const [, name = '', revision = ''] = file ?? [api?.[0], api?.[1], api?.[3]];
  const model = models.get(name);
  if (model === undefined) {
    refuse(response, 'RepoNotFound');
    return;
  }
  const wanted = decodeURIComponent(revision);
  if (wanted !== model.commit && !model.refs.includes(wanted)) {
    refuse(response, 'RevisionNotFound');
    return;
  }
  if (api?.[2] === 'revision') sendJson(response, describe(name, model));
  else if (api?.[2] === 'tree') sendJson(response, treeOf(model));
  else serveFile(request, response, { model, name: decodeURIComponent(file?.[3] ?? ''), cdnUrl, faults });
}

function refuse(response: ServerResponse, code: string): void {
  response.writeHead(404, { 'X-Error-Code': code, 'X-Error-Message': 'not here' }).end();
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'Content-Type': 'application/json; charset=utf-8' }).end(JSON.stringify(value));
}

const describe = (name: string, { commit, files }: HostedModel): unknown => ({
  _id: '0'.repeat(24),
  id: name,
  modelId: name,
  sha: commit,
  private: false,
  gated: false,
  downloads: 0,
  likes: 0,
  tags: [],
  lastModified: '2024-02-19T11:00:00.000Z',
  siblings: Object.keys(files).map((rfilename) => ({ rfilename })),
});

const treeOf = ({ files }: HostedModel): unknown => [
  { type: 'directory', oid: '0'.repeat(40), size: 0, path: 'onnx' },
  ...Object.entries(files).map(([path, file]) => ({
    type: 'file',
    // Of a large file git has a pointer, with a name of its own.
    oid: file.lfs ? gitHash(Buffer.from(`oid sha256:${sha256(file.content)}`)) : gitHash(file.content),
    size: file.listedSize ?? file.content.length,
    path,
    ...(file.lfs
      ? { lfs: { oid: sha256(file.content), size: file.listedSize ?? file.content.length, pointerSize: 134 } }
      : {}),
  })),
];

function serveFile(
  request: IncomingMessage,
  response: ServerResponse,
  { model, name, cdnUrl, faults }: { model: HostedModel; name: string; cdnUrl: string; faults: Faults },
): void {
  const file = model.files[name];
  if (file === undefined) {
    refuse(response, 'EntryNotFound');
    return;
  }
  response.setHeader('X-Repo-Commit', model.commit);
  if (!file.lfs) {
    response.setHeader('ETag', `"${etagOf(file)}"`);
    void sendContent(request, response, faults.lies[name] ?? file.content, { ...faults, cuts: [], hangs: [] });
    return;
  }
  response.setHeader('X-Linked-Etag', `"${sha256(file.content)}"`);
  response.setHeader('X-Linked-Size', file.content.length);
  response.writeHead(302, { Location: `${cdnUrl}/blobs/${sha256(file.content)}` }).end();
}

async function serveBlob(
  request: IncomingMessage,
  response: ServerResponse,
  models: ReadonlyMap<string, HostedModel>,
  faults: Faults,
): Promise<void> {
  const hash = (request.url ?? '').split('/').at(-1);
  const files = [...models.values()].flatMap((model) => Object.entries(model.files));
  const [name, file] = files.find(([, { lfs, content }]) => lfs && sha256(content) === hash) ?? [];
  if (name === undefined || file === undefined) {
    response.writeHead(404).end();
    return;
  }
  if (faults.gate !== undefined) await faults.gate;
  await sendContent(request, response, faults.lies[name] ?? file.content, faults);
}

async function sendContent(
  { headers, method }: IncomingMessage,
  response: ServerResponse,
  content: Buffer,
  faults: Faults,
): Promise<void> {
  const start = faults.ignoresRange ? undefined : /^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1];
  const body = content.subarray(Number(start ?? 0));
  if (!faults.chunked) response.setHeader('Content-Length', body.length);
  if (start === undefined) response.writeHead(200);
  else if (body.length === 0) response.writeHead(416);
  else response.writeHead(206, { 'Content-Range': `bytes ${start}-${content.length - 1}/${content.length}` });
  if (method === 'HEAD') {
    response.end();
    return;
  }
  const hang = faults.hangs.shift();
  if (hang !== undefined) {
    response.write(body.subarray(0, hang));
    return;
  }
  const cut = faults.cuts.shift();
  if (cut === undefined) {
    response.end(body);
    return;
  }
  // Sent, and on its way, before the connection breaks.
  await new Promise((resolve) => response.write(body.subarray(0, cut), resolve));
  setTimeout(() => response.destroy(), 20);
}
