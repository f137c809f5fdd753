import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from '../errors.js';
import { packageVersion } from '../package-root.js';
import { officialEndpoint } from './hub-environment.js';

/** How long to wait for what, in milliseconds; tests wait less. */
export interface HubTiming {
  /** Before the second, third, ... attempt. An attempt that brought data begins anew. */
  readonly retryDelays: readonly number[];
  /** Without an answer or without further data for so long, a connection counts as lost. */
  readonly silence: number;
  /** A server that asks for a longer wait than this is not waited for. */
  readonly longestWait: number;
  /** Between two looks at what another process does. */
  readonly poll: number;
}

export const defaultTiming: HubTiming = {
  retryDelays: [1000, 2000, 4000, 8000, 16000],
  silence: 30_000,
  longestWait: 300_000,
  poll: 500,
};

/** One hub and the model that is asked for, of which its errors speak. */
export interface Hub {
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly repository: string;
  readonly revision: string;
  readonly timing: HubTiming;
  /** Says why it takes longer. */
  warn(line: string): void;
}

/** A failure that may be over in a moment. */
export class TransientError extends Error {
  /** What the server asked for, in milliseconds. */
  readonly retryAfter: number | undefined;

  constructor(message: string, retryAfter?: number, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TransientError';
    this.retryAfter = retryAfter;
  }
}

/** An answer whose body has not been read; it is to be read or discarded. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** The body in pieces; to be read to its end or left with `break`. Throws TransientError when the connection breaks. */
  chunks(): AsyncGenerator<Uint8Array>;
  /** Frees the connection of an answer that is not read. */
  discard(): Promise<void>;
}

const mostRedirects = 8;

/**
 * One GET, through redirects, without a second attempt. The token goes to the hub's own origin and nowhere else.
 * Throws TransientError for what may pass, UserError for all other answers but 2xx and 416.
 */
export async function get(hub: Hub, address: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  let url = new URL(address);
  for (let redirects = 0; redirects <= mostRedirects; redirects += 1) {
    const answer = await getOnce(hub, url, headers);
    const location = answer.headers.get('location');
    if (answer.status < 300 || answer.status >= 400 || location === null) return checked(hub, url, answer);
    await answer.discard();
    url = redirected(url, location);
  }
  throw unexpected(hub, `${address} redirects more than ${mostRedirects} times`);
}

function redirected(from: URL, location: string): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  const isSafe = to?.protocol === 'https:' || (to?.protocol === 'http:' && from.protocol === 'http:');
  if (to !== undefined && isSafe) return to;
  throw new UserError(
    'environment',
    `${from.href} redirects to ${location}, which is no https address`,
    'Something between this machine and the hub interferes, or HF_ENDPOINT names no hub.',
  );
}

async function getOnce(hub: Hub, url: URL, headers: Readonly<Record<string, string>>): Promise<Answer> {
  const watchdog = startWatchdog(url, hub.timing.silence);
  const isHub = url.origin === new URL(hub.endpoint).origin;
  try {
    const response = await fetch(url, {
      redirect: 'manual',
      signal: watchdog.signal,
      headers: {
        'User-Agent': `t4/${packageVersion()}; node/${process.versions.node}`,
        ...headers,
        ...(isHub && hub.token !== undefined ? { Authorization: `Bearer ${hub.token}` } : {}),
      },
    });
    watchdog.pause();
    return {
      status: response.status,
      headers: response.headers,
      chunks: () => readBody(response, url, watchdog),
      // A connection that breaks just then is no loss.
      discard: async () => response.body?.cancel().catch(() => undefined),
    };
  } catch (error) {
    watchdog.pause();
    throw connectionError(url, error);
  }
}

async function* readBody(response: Response, url: URL, watchdog: Watchdog): AsyncGenerator<Uint8Array> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  try {
    for (;;) {
      watchdog.begin();
      const part: { done: boolean; value?: unknown } = await reader.read();
      watchdog.pause();
      if (part.done) return;
      if (!(part.value instanceof Uint8Array)) throw new Error('fetch gave a body that is not made of bytes');
      yield part.value;
    }
  } catch (error) {
    throw connectionError(url, error);
  } finally {
    watchdog.pause();
    // A body that was left half-way must not keep its connection; what cancel says of a broken one is known already.
    await reader.cancel().catch(() => undefined);
  }
}

interface Watchdog {
  readonly signal: AbortSignal;
  begin(): void;
  pause(): void;
}

/** Cuts a connection that has been silent for too long; the clock runs at once. */
function startWatchdog(url: URL, silence: number): Watchdog {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const pause = (): void => {
    clearTimeout(timer);
  };
  const begin = (): void => {
    pause();
    timer = setTimeout(() => {
      controller.abort(new TransientError(`${url.host}: no data for ${silence / 1000} s`));
    }, silence);
  };
  begin();
  return { signal: controller.signal, begin, pause };
}

/** The whole body as text. */
export async function readText(answer: Answer): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer.chunks()) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

const certificateCodes = /CERT|SIGNATURE|ISSUER/;

function connectionError(url: URL, error: unknown): Error {
  if (error instanceof TransientError || error instanceof UserError) return error;
  if (!(error instanceof Error)) return new Error(String(error));
  // fetch says "fetch failed" or "terminated"; what happened is in the cause.
  const cause = error.cause instanceof Error ? error.cause : error;
  const code = 'code' in cause ? String(cause.code) : '';
  const what = cause.message === '' ? code : cause.message;
  if (certificateCodes.test(code)) {
    return new UserError(
      'environment',
      `${url.origin}: ${what}`,
      'The certificate is not one that Node trusts. Behind a proxy of your own: NODE_EXTRA_CA_CERTS=FILE names its certificate.',
    );
  }
  if (error instanceof TypeError || code !== '') {
    return new TransientError(`${url.host}: ${what}`, undefined, { cause: error });
  }
  return error;
}

async function checked(hub: Hub, url: URL, answer: Answer): Promise<Answer> {
  const { status, headers } = answer;
  if ((status >= 200 && status < 300) || status === 416) return answer;
  await answer.discard();
  if (status === 408 || status === 429 || status >= 500) {
    throw new TransientError(`${url.host} answered ${status}`, retryAfter(headers.get('retry-after')));
  }
  throw refusal(hub, url, status, headers);
}

/** Seconds, or a date. */
function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  const seconds = Number(header);
  const milliseconds = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(milliseconds) ? Math.max(0, milliseconds) : undefined;
}

/** What a 4xx means; the codes are those of the hub's X-Error-Code. */
function refusal(hub: Hub, url: URL, status: number, headers: Headers): UserError {
  const { repository, revision } = hub;
  const code = headers.get('x-error-code') ?? '';
  const page = `${hub.endpoint}/${repository}`;
  const tokens = 'make a token that may read it at https://huggingface.co/settings/tokens and set HF_TOKEN to it';
  if (code === 'GatedRepo') {
    return new UserError(
      'environment',
      `hf:${repository} is gated: its owner gives it to those who have accepted the terms (${status})`,
      `Accept them at ${page}${hub.token === undefined ? `, ${tokens}` : ' with the account that HF_TOKEN belongs to'}.`,
    );
  }
  if (status === 401 || status === 403) {
    if (hub.token === undefined) {
      return new UserError(
        'environment',
        `hf:${repository} does not exist or is private (${status})`,
        `Check the name at ${page}. Private: ${tokens}.`,
      );
    }
    return new UserError(
      'environment',
      `${url.host} refuses the token for hf:${repository} (${status})`,
      `It may have expired, or not be allowed to read ${page}: ${tokens}. A public model needs no HF_TOKEN.`,
    );
  }
  if (code === 'RevisionNotFound') {
    return new UserError(
      'usage',
      `hf:${repository} has no revision ${revision}`,
      `Its branches, tags and commits: ${page}/tree/main. The name comes after @, as in hf:${repository}@main.`,
    );
  }
  if (code === 'EntryNotFound') {
    return new UserError(
      'files',
      `${url.href} is listed but not there (404)`,
      'Try again; the repository may be changing.',
    );
  }
  if (status === 404) {
    return new UserError('usage', `hf:${repository} does not exist (404)`, `Look for it at ${hub.endpoint}/models`);
  }
  const message = headers.get('x-error-message') ?? '';
  return unexpected(hub, `${url.href} answered ${status}${message === '' ? '' : `: ${message}`}`);
}

/** For an answer that a hub would not give. */
export function unexpected(hub: Hub, message: string): UserError {
  const official = hub.endpoint === officialEndpoint;
  return new UserError(
    'environment',
    `${message}: this is not how a hub answers`,
    official
      ? 'Something between this machine and the hub interferes: a proxy, or a page that asks to log in.'
      : `HF_ENDPOINT is ${hub.endpoint}: check that it is a hub or a mirror of it.`,
  );
}

/**
 * Attempts until one succeeds, with growing waits, or as long as the server asks for.
 * @param attempt may call `progressed` when data has arrived: the count of attempts begins anew
 */
export async function persistently<T>(hub: Hub, attempt: (progressed: () => void) => Promise<T>): Promise<T> {
  const { retryDelays, longestWait } = hub.timing;
  let failures = 0;
  for (;;) {
    try {
      return await attempt(() => {
        failures = 0;
      });
    } catch (error) {
      if (!(error instanceof TransientError)) throw error;
      const delay = retryDelays[failures];
      failures += 1;
      const wait = Math.max(delay ?? 0, error.retryAfter ?? 0);
      if (delay === undefined || wait > longestWait) throw unreachable(error, failures, wait);
      hub.warn(`${error.message}; trying again in ${Math.ceil(wait / 1000)} s`);
      await sleep(wait);
    }
  }
}

function unreachable(error: TransientError, failures: number, wait: number): UserError {
  const tried =
    error.retryAfter === undefined ? `${failures} times` : `${failures} times; it asks for ${wait / 1000} s`;
  const proxy = process.env.HTTPS_PROXY ?? process.env.https_proxy;
  const aboutProxy =
    proxy === undefined || process.env.NODE_USE_ENV_PROXY !== undefined
      ? ''
      : '\nHTTPS_PROXY is set: Node 24 uses it where NODE_USE_ENV_PROXY=1 is set too, older ones do not.';
  return new UserError(
    'environment',
    `${error.message} (tried ${tried})`,
    'Check the network and run the same command again: what has arrived is kept and continued.\n' +
      'HF_ENDPOINT names a mirror, HF_HUB_OFFLINE=1 takes what is in the cache, --model FOLDER a folder of your own.' +
      aboutProxy,
  );
}
