import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../errors.js';

type Environment = Readonly<Record<string, string | undefined>>;

export const officialEndpoint = 'https://huggingface.co';

/** What the environment says of the hub; the variables and their defaults are those of Python's huggingface_hub. */
export interface HubEnvironment {
  /** Without a slash at its end. */
  readonly endpoint: string;
  /** Holds a folder `models--owner--name` for each model. */
  readonly cacheFolder: string;
  readonly offline: boolean;
  /** False where HF_HUB_DISABLE_SYMLINKS asks for copies. */
  readonly symlinks: boolean;
}

/** Throws UserError for an HF_ENDPOINT that is no address. An empty variable counts as not set. */
export function hubEnvironment(env: Environment): HubEnvironment {
  const cache = variable(env, 'HF_HUB_CACHE') ?? variable(env, 'HUGGINGFACE_HUB_CACHE');
  return {
    endpoint: endpointOf(variable(env, 'HF_ENDPOINT') ?? officialEndpoint),
    cacheFolder: cache === undefined ? join(hubHome(env), 'hub') : expand(cache, env),
    offline: isTrue(variable(env, 'HF_HUB_OFFLINE') ?? variable(env, 'TRANSFORMERS_OFFLINE')),
    symlinks: !isTrue(variable(env, 'HF_HUB_DISABLE_SYMLINKS')),
  };
}

/**
 * The access token: HF_TOKEN, else the file that `hf auth login` writes. Undefined where there is none.
 * Throws UserError where it cannot be sent; the message does not repeat it.
 */
export function hubToken(env: Environment): string | undefined {
  const fromVariable = variable(env, 'HF_TOKEN') ?? variable(env, 'HUGGING_FACE_HUB_TOKEN');
  const path = tokenPath(env);
  const token = (fromVariable ?? readIfThere(path))?.trim();
  if (token === undefined || token === '') return undefined;
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  const where = fromVariable === undefined ? path : 'HF_TOKEN';
  throw new UserError(
    'environment',
    `${where}: expected one token of letters, digits and signs, got other characters in it`,
    'Copy it anew from https://huggingface.co/settings/tokens',
  );
}

function endpointOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isWeb = url?.protocol === 'https:' || url?.protocol === 'http:';
  if (url === undefined || !isWeb || url.username !== '' || url.password !== '' || url.search !== '') {
    throw new UserError(
      'environment',
      `HF_ENDPOINT: got ${text}, expected an address such as ${officialEndpoint}`,
      'Set it to the hub or a mirror of it, without user name and query, or unset it.',
    );
  }
  return text.replace(/\/+$/, '');
}

function hubHome(env: Environment): string {
  const home = variable(env, 'HF_HOME');
  return expand(home ?? join(variable(env, 'XDG_CACHE_HOME') ?? '~/.cache', 'huggingface'), env);
}

function tokenPath(env: Environment): string {
  const path = variable(env, 'HF_TOKEN_PATH');
  return path === undefined ? join(hubHome(env), 'token') : expand(path, env);
}

/** `~`, `$NAME` and `${NAME}` as Python's expanduser and expandvars read them: an unknown name stays as it is. */
function expand(path: string, env: Environment): string {
  return path
    .replace(/^~(?=\/|$)/, () => homedir())
    .replace(/\$(?:(\w+)|\{([^}]*)\})/g, (whole: string, plain?: string, braced?: string) => {
      return env[plain ?? braced ?? ''] ?? whole;
    });
}

function variable(env: Environment, name: string): string | undefined {
  const value = env[name];
  return value === '' ? undefined : value;
}

function isTrue(value: string | undefined): boolean {
  return value !== undefined && ['1', 'ON', 'YES', 'TRUE'].includes(value.toUpperCase());
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
