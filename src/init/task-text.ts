import { dirname, relative, resolve, sep } from 'node:path';
import { parseModelSource } from '../sources/source.js';
import type { Choice } from './choice.js';
import type { Choices } from './choose.js';

/**
 * The text of a task file, each key with its reason above it.
 *
 * @param file where it will stand: what it names is relative to that
 * @param schema the file of the schema beside it, where there is one
 */
export function taskText(choices: Choices, file: string, schema: string | undefined): string {
  const { task, language, train, dev, test, format, columns, dev_fraction: devFraction, labels } = choices;
  const path = ({ value, why }: Choice<string | undefined>): Choice<string> | undefined =>
    value === undefined ? undefined : { value: pathText(value, file), why };
  return [
    ...(schema === undefined ? [] : [`# yaml-language-server: $schema=./${schema}`]),
    ...comment(
      'Written by t4 init, with the reason above each choice; all may be changed. `t4 config schema` lists every key.',
      '',
    ),
    'version: 1',
    ...entry('task', task, ''),
    ...(language.value === undefined
      ? comment(language.why, '')
      : entry('language', { ...language, value: language.value }, '')),
    'data:',
    ...entry('train', path(train), '  '),
    ...entry('dev', path(dev), '  '),
    ...entry('test', path(test), '  '),
    ...entry('format', format, '  '),
    ...entry('columns', columns, '  '),
    ...entry('dev_fraction', devFraction, '  '),
    ...entry('labels', labels, '  '),
    'model:',
    ...entry('source', { ...choices.source, value: sourceText(choices.source.value, file) }, '  '),
    ...entry('max_length', choices.max_length, '  '),
    'training:',
    ...entry('epochs', choices.epochs, '  '),
    ...entry('batch_size', choices.batch_size, '  '),
    ...entry('learning_rate', choices.learning_rate, '  '),
    ...entry('metric', choices.metric, '  '),
    '',
  ].join('\n');
}

type Value = string | number | readonly string[] | Readonly<Record<string, string | number>>;

function entry(key: string, choice: Choice<Value> | undefined, indent: string): string[] {
  if (choice === undefined) return [];
  return [...comment(choice.why, indent), `${indent}${key}: ${valueText(choice.value)}`];
}

const width = 118;

/** A comment of as many lines as it needs; what stands in the user's file cannot end it. */
function comment(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim()
    .split(' ')) {
    if (line !== '' && indent.length + 2 + line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((one) => `${indent}# ${one}`);
}

function valueText(value: Value): string {
  if (typeof value === 'number') return numberText(value);
  if (typeof value === 'string') return scalar(value);
  if (isList(value)) return `[${value.map(quoted).join(', ')}]`;
  const entries = Object.entries(value).map(([key, held]) => `${key}: ${valueText(held)}`);
  return `{ ${entries.join(', ')} }`;
}

const isList = (value: Value): value is readonly string[] => Array.isArray(value);

/** YAML takes 5e-5 for text: a number needs its point. */
function numberText(value: number): string {
  const text = String(value);
  return value > 0 && value < 0.001 ? value.toExponential(1) : text;
}

/** Words that YAML reads as something else than text. */
const special = /^(true|false|null|yes|no|on|off|y|n)$/i;

const scalar = (text: string): string =>
  /^[A-Za-z_./][\w./@:+-]*$/.test(text) &&
  !special.test(text) &&
  !text.endsWith(':') &&
  !/^\.\d|^\.(inf|nan)$/i.test(text)
    ? text
    : quoted(text);

/** JSON's strings are YAML's, but for characters that YAML would not have as they are. */
const quoted = (text: string): string =>
  JSON.stringify(text).replaceAll(
    /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** Relative to the task file, so that both can be moved together, unless that would lead through the root. */
export function pathText(path: string, file: string): string {
  const folder = dirname(resolve(file));
  const target = resolve(path);
  const way = relative(folder, target).split(sep);
  const climbs = way.filter((part) => part === '..').length;
  const depth = folder.split(sep).filter((part) => part !== '').length;
  if (climbs > 0 && climbs >= depth) return target;
  return climbs > 0 ? way.join('/') : `./${way.join('/')}`;
}

const sourceText = (source: string, file: string): string =>
  parseModelSource(source)?.kind === 'folder' ? pathText(source, file) : source;
