import { z } from 'zod';

/**
 * The kinds of values that a task file holds. The message of every issue is the end of a sentence that begins with
 * what was got: `training.epochs: got "abc", expected a whole number, at least 1`.
 */

interface Range {
  readonly min?: number;
  readonly max?: number;
  /** exclusive */
  readonly above?: number;
  /** exclusive */
  readonly below?: number;
}

export function number(range: Range): z.ZodNumber {
  return ranged(z.number(`expected a number${words(range)}`), range, `expected a number${words(range)}`);
}

export function wholeNumber(range: Range): z.ZodNumber {
  const error = `expected a whole number${words(range)}`;
  return ranged(z.number(error).int(error), range, error);
}

export function text(expected: string): z.ZodString {
  const error = `expected ${expected}`;
  return z.string(error).min(1, error);
}

export function choice<const T extends readonly [string, ...string[]]>(values: T, remark = '') {
  const last = values.at(-1) ?? '';
  const list = values.length === 1 ? last : `${values.slice(0, -1).join(', ')} or ${last}`;
  return z.enum(values, `expected ${list}${remark}`);
}

export const flag = () => z.boolean('expected true or false');

function ranged(schema: z.ZodNumber, range: Range, error: string): z.ZodNumber {
  let result = schema;
  if (range.min !== undefined) result = result.min(range.min, error);
  if (range.max !== undefined) result = result.max(range.max, error);
  if (range.above !== undefined) result = result.gt(range.above, error);
  if (range.below !== undefined) result = result.lt(range.below, error);
  return result;
}

function words({ min, max, above, below }: Range): string {
  const parts: string[] = [];
  if (min !== undefined) parts.push(max === undefined && below === undefined ? `at least ${min}` : `from ${min}`);
  if (above !== undefined) parts.push(`above ${above}`);
  if (max !== undefined) parts.push(min === undefined ? `at most ${max}` : `to ${max}`);
  if (below !== undefined) parts.push(min === undefined ? `below ${below}` : `to below ${below}`);
  return parts.length === 0 ? '' : `, ${parts.join(' ')}`;
}
