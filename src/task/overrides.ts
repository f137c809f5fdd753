import { CORE_SCHEMA, load, YAMLException } from 'js-yaml';
import { type Path, pathText, type Problem, shown } from './problems.js';
import type { Origins } from './yaml.js';

/** Overrides sort after everything that stands in the file. */
const afterTheFile = 1e9;

export interface Override {
  readonly path: Path;
  /** null takes the key out of the task */
  readonly value: unknown;
  /** how it was typed: `--set training.epochs=2` */
  readonly typed: string;
}

/** `training.epochs=2` with the value read as YAML; a problem instead when it is not of that form. */
export function parseOverride(text: string): Override | Problem {
  const typed = `--set ${text}`;
  const problem = (message: string): Problem => ({ where: typed, message, order: afterTheFile });
  const [, key, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (key === undefined || value === undefined) return problem('expected KEY=VALUE, such as training.epochs=2');
  const path = key.trim().split('.');
  if (path.includes(''))
    return problem(`got the key ${shown(key)}, expected names with dots between, such as training.epochs`);
  try {
    return { path, typed, value: value.trim() === '' ? null : load(value, { schema: CORE_SCHEMA }) };
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    return problem(`the value is not YAML: ${error.reason}`);
  }
}

export type Mapping = Readonly<Record<string, unknown>>;

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * The task with one key replaced, the mappings on the way made where they are missing.
 * @param index the override's place on the command line
 */
export function applyOverride(task: Mapping, origins: Origins, override: Override, index: number): Mapping | Problem {
  const { path, value, typed } = override;
  const order = afterTheFile + index;
  for (let depth = 1; depth < path.length; depth += 1) {
    const around = path.slice(0, depth);
    const held = valueAt(task, around);
    if (held !== undefined && !isMapping(held)) {
      return { where: typed, message: `${pathText(around)} is ${shown(held)}, expected a mapping`, order };
    }
    if (held === undefined) origins.set(around, { key: typed, value: typed, order });
  }
  origins.set(path, { key: typed, value: typed, order });
  return withValue(task, path, value);
}

export function isProblem(result: Mapping | Override | Problem): result is Problem {
  return 'where' in result && 'message' in result;
}

/** What a task holds at a path, undefined where there is nothing. */
export function valueAt(task: unknown, path: Path): unknown {
  let value = task;
  for (const key of path) {
    if (Array.isArray(value) && typeof key === 'number') value = value[key];
    else if (isMapping(value) && Object.hasOwn(value, key)) value = value[key];
    else return undefined;
  }
  return value;
}

function withValue(task: Mapping, [key, ...rest]: Path, value: unknown): Mapping {
  if (key === undefined) return task;
  if (rest.length > 0) {
    const child = valueAt(task, [key]);
    return { ...task, [key]: withValue(isMapping(child) ? child : {}, rest, value) };
  }
  const others = Object.entries(task).filter(([name]) => name !== key);
  return value === null ? Object.fromEntries(others) : { ...task, [key]: value };
}
