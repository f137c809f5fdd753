import { z } from 'zod';
import { objectsOf, valueOf } from './table.js';
import { plainName, textNames } from './header.js';
import type { WantedColumns } from './columns.js';

/** The keys of objects that have a text and the places of its entities. */
export interface SpanKeys {
  readonly text: string;
  readonly entities: string;
  /** The other keys. */
  readonly others: readonly string[];
}

const entitiesSchema = z.array(z.looseObject({ start: z.number(), end: z.number(), label: z.string() }));

/**
 * Finds texts with the places of their entities, as spanSentences reads them: lists of objects with `start`, `end` and
 * `label`, beside a key of strings.
 *
 * @param lines of JSONL
 * @param wanted keys that the user named
 * @returns undefined where the objects are something else
 */
export function spanKeys(
  lines: readonly string[],
  wanted: Pick<WantedColumns, 'text' | 'label'>,
): SpanKeys | undefined {
  const objects = objectsOf(lines);
  const keys = [...new Set(objects.flatMap((object) => Object.keys(object)))];
  const valuesOf = (key: string): unknown[] =>
    objects.map((object) => valueOf(object, key)).filter((value) => value != null);
  const isList = (key: string): boolean => {
    const values = valuesOf(key);
    const lists = values.filter((value) => entitiesSchema.safeParse(value).success);
    return mostOf(lists, values) && lists.some((list) => Array.isArray(list) && list.length > 0);
  };
  const lists = (wanted.label === undefined ? keys : [wanted.label]).filter(isList);
  const entities = lists.find((key) => key === 'entities') ?? lists[0];
  if (entities === undefined) return undefined;
  const isText = (key: string): boolean => {
    const values = valuesOf(key);
    return mostOf(
      values.filter((value) => typeof value === 'string'),
      objects,
    );
  };
  const texts = (wanted.text === undefined ? keys : [wanted.text]).filter(isText);
  const text = named(texts) ?? longest(texts, valuesOf);
  if (text === undefined) return undefined;
  return { text, entities, others: keys.filter((key) => key !== text && key !== entities) };
}

/** A file may have a few bad lines, which its reader names. */
const mostOf = (some: readonly unknown[], all: readonly unknown[]): boolean => some.length >= 0.95 * all.length;

const named = (keys: readonly string[]): string | undefined =>
  textNames.map((name) => keys.find((key) => plainName(key) === name)).find((key) => key !== undefined);

function longest(keys: readonly string[], valuesOf: (key: string) => readonly unknown[]): string | undefined {
  const lengthOf = (key: string): number => valuesOf(key).reduce<number>((sum, value) => sum + String(value).length, 0);
  return [...keys].sort((a, b) => lengthOf(b) - lengthOf(a))[0];
}
