import { UserError } from '../errors.js';

export type Path = readonly (string | number)[];

/** One thing that is wrong with a task. */
export interface Problem {
  /** `tasks/demo.yaml:3:5` or `--set training.epochs=abc` */
  readonly where: string;
  readonly message: string;
  /** sorts the list: the offset in the file; overrides come after */
  readonly order: number;
}

/** ['data', 'labels', 1] -> "data.labels[1]" */
export function pathText(path: Path): string {
  return path.map((key, depth) => (typeof key === 'number' ? `[${key}]` : `${depth === 0 ? '' : '.'}${key}`)).join('');
}

/** A value as an error message shows it. */
export function shown(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value !== 'string') return 'a mapping';
  const quoted = JSON.stringify(value);
  return quoted.length > 80 ? `${quoted.slice(0, 80)}..."` : quoted;
}

/** All problems in one error, in the order of the file. */
export function taskError(problems: readonly Problem[]): UserError {
  const lines = [...problems]
    .sort((a, b) => a.order - b.order)
    .map(({ where, message }) => (where === '' ? message : `${where}: ${message}`));
  const text = lines.length === 1 ? lines.join() : `${lines.length} problems in the task:\n${lines.join('\n')}`;
  return new UserError('usage', text, 't4 config schema lists every key; t4 config show --task demo shows an example.');
}
