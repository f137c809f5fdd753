import type { z } from 'zod';
import { didYouMean } from '../nearest.js';
import { isMapping, valueAt } from './overrides.js';
import { type Path, pathText, type Problem, shown } from './problems.js';
import { type TaskConfig, taskJsonSchema, taskSchema } from './schema.js';
import type { Origins } from './yaml.js';

/** The task with its defaults, or all that is wrong with it. */
export function checkTask(value: unknown, origins: Origins): { task: TaskConfig } | { problems: Problem[] } {
  const parsed = taskSchema.safeParse(value);
  if (parsed.success) return { task: parsed.data };
  const problems: Problem[] = [];
  const seen = new Set<string>();
  for (const issue of parsed.error.issues) {
    const found = issue.code === 'unrecognized_keys' ? unknownKeys(issue, origins) : [badValue(issue, value, origins)];
    for (const { path, problem } of found) {
      // One problem a key: a number that is neither whole nor in range is one mistake.
      if (seen.has(pathText(path))) continue;
      seen.add(pathText(path));
      problems.push(problem);
    }
  }
  return { problems };
}

interface Found {
  readonly path: Path;
  readonly problem: Problem;
}

function badValue(issue: z.core.$ZodIssue, value: unknown, origins: Origins): Found {
  const path = taskPath(issue.path);
  const got = valueAt(value, path);
  const origin = origins.nearest(path);
  const missing = got === undefined;
  const near =
    issue.code === 'invalid_value' && typeof got === 'string' ? didYouMean(got, issue.values.map(String)) : '';
  const message = `${missing ? 'missing' : `got ${shown(got)}`}, ${issue.message}${near}`;
  // What is missing is reported at the key of the mapping that lacks it.
  const where = missing ? origin.key : origin.value;
  return { path, problem: { where, message: withPath(where, path, message), order: origin.order } };
}

function unknownKeys(issue: z.core.$ZodIssueUnrecognizedKeys, origins: Origins): Found[] {
  const around = taskPath(issue.path);
  return issue.keys.map((key) => {
    const path = [...around, key];
    const origin = origins.nearest(path);
    const message = `unknown key${suggestion(key, around)}`;
    return { path, problem: { where: origin.key, message: withPath(origin.key, path, message), order: origin.order } };
  });
}

/** An override names its key already. */
function withPath(where: string, path: Path, message: string): string {
  const name = pathText(path);
  const named = name === '' || where.startsWith(`--set ${name}=`) || where.startsWith('--model ');
  return named ? message : `${name}: ${message}`;
}

/** The nearest key of the same mapping, else the same key where it belongs, else all keys of the mapping. */
function suggestion(key: string, around: Path): string {
  const known = knownKeys();
  const siblings = known.filter((path) => path.length === around.length + 1 && startsWith(path, around));
  const names = siblings.map((path) => path.at(-1) ?? '');
  const near = didYouMean(key, names);
  if (near !== '') return near;
  const last = key.split('.').at(-1) ?? key;
  const elsewhere = known.find((path) => path.at(-1) === last);
  if (elsewhere !== undefined) return ` (did you mean ${pathText(elsewhere)}?)`;
  return names.length === 0 ? '' : `, expected ${names.join(', ')}`;
}

function startsWith(path: readonly string[], around: Path): boolean {
  return around.every((key, depth) => path[depth] === key);
}

/** Every key of a task file as a path, mappings included; read from the JSON Schema, which is made from the one schema. */
function knownKeys(): string[][] {
  const found: string[][] = [];
  const visit = (schema: unknown, path: string[]): void => {
    const properties = isMapping(schema) ? schema.properties : undefined;
    if (!isMapping(properties)) return;
    for (const [key, child] of Object.entries(properties)) {
      found.push([...path, key]);
      visit(child, [...path, key]);
    }
  };
  visit(taskJsonSchema(), []);
  return found;
}

function taskPath(path: readonly PropertyKey[]): (string | number)[] {
  return path.map((key) => (typeof key === 'number' ? key : String(key)));
}
