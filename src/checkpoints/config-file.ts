import { UserError } from '../errors.js';
import { modelConfigSchema, type ModelConfig } from '../models/model-config.js';
import { printable } from './file-bytes.js';
import { readJson } from './json.js';

/** A model's configuration as its file has it. */
export interface ConfigFile {
  readonly path: string;
  readonly config: ModelConfig;
  /** Label names by id, from `id2label`; undefined where the file has none. */
  readonly labels: readonly string[] | undefined;
}

const mostShown = 20;

/**
 * Reads a configuration with Hugging Face's keys, of any family. Throws UserError 'files' naming each key that is wrong
 * or not supported; `absent` is the message where there is no such file.
 */
export function readConfigFile(path: string, absent: string): ConfigFile {
  return parseConfig(path, readJson(path, absent));
}

/** As readConfigFile, of what was read (and adapted) already. */
export function parseConfig(path: string, json: unknown): ConfigFile {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    const got = json === null ? 'null' : Array.isArray(json) ? 'a list' : `a ${typeof json}`;
    throw new UserError('files', `${path}: got ${got}, expected an object with the keys of a model's configuration`);
  }
  const parsed = modelConfigSchema.safeParse(json);
  if (!parsed.success) {
    const problems = new Map<string, string>();
    for (const issue of parsed.error.issues) {
      const key = issue.path.join('.');
      // One problem a key: a number out of range may break a rule about several keys, too.
      if (problems.has(key)) continue;
      const value = issue.path.reduce<unknown>((parent, part) => property(parent, part), json);
      const got = value === undefined ? 'nothing' : printable(JSON.stringify(value));
      problems.set(key, `${path}: ${printable(key)}: got ${got}, ${issue.message}`);
    }
    const more = problems.size > mostShown ? [`${path}: ... and ${problems.size - mostShown} more`] : [];
    throw new UserError('files', [...[...problems.values()].slice(0, mostShown), ...more].join('\n'));
  }
  return { path, config: parsed.data, labels: labelNames(parsed.data.id2label) };
}

const property = (value: unknown, key: PropertyKey): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined;

function labelNames(id2label: Readonly<Record<string, string>> | null | undefined): string[] | undefined {
  if (id2label === null || id2label === undefined) return undefined;
  const names = Object.keys(id2label).flatMap((_, id) => id2label[String(id)] ?? []);
  return names.length === Object.keys(id2label).length && names.length >= 2 ? names : undefined;
}
