import { z } from 'zod';
import {
  lenientEntities,
  outside,
  schemeOf,
  tagsOfEntities,
  type EntitySpan,
  type TagScheme,
} from '../metrics/tags.js';
import { didYouMean } from '../nearest.js';
import { codePointsBefore } from './code-points.js';
import type { TaggedFile, TaggedSentence } from './example.js';
import { jsonlRows, LineError, valueAt } from './jsonl.js';
import { compareCodePoints } from './labels.js';
import { decodeLines } from './lines.js';
import { quote, quoteJson, type Problem } from './problems.js';
import { listed } from './read.js';
import { textWords } from './text-words.js';

export interface SpanOptions {
  /** The key of the text; undefined: `text`. */
  readonly textKey?: string | undefined;
  /** The key of its entities; undefined: `entities`. */
  readonly entitiesKey?: string | undefined;
  /** Known label names; without them they are made of the types of the file's entities. */
  readonly labels?: readonly string[] | undefined;
  /** Whether a text without entities, be it an empty list, is an error. */
  readonly requireLabels: boolean;
}

/**
 * Reads texts with the places of their entities, an object a line: `{"text": "...", "entities": [{"start", "end",
 * "label"}]}`, as `t4 predict` writes them. Places are counted in code points from 0, `end` is behind the last. Texts are
 * split into words (see textWords), at whose ends entities have to begin and end.
 *
 * Labels that are not given are `O` and for each type, in the order of code points, `B-` and `I-`.
 *
 * @param problems gets an entry for each thing that is wrong with a line; its text is not in the result
 * @throws UserError 'data' where no line has one of the keys
 */
export function spanSentences(bytes: Uint8Array, path: string, options: SpanOptions, problems: Problem[]): TaggedFile {
  const { textKey = 'text', entitiesKey = 'entities', requireLabels } = options;
  const keys = requireLabels ? [textKey, entitiesKey] : [textKey];
  const read = (object: Readonly<Record<string, unknown>>, line: number): SplitText | undefined => {
    const text = valueAt(object, textKey, z.string(), 'a string');
    if (text === undefined || text.trim() === '') throw new LineError(`got no text at ${textKey}, expected some`);
    const entities = valueAt(object, entitiesKey, entitiesSchema, entitiesForm);
    if (entities === undefined && requireLabels)
      throw new LineError(`got no ${entitiesKey}, expected a list ([] for none)`);
    return splitText(line, text, entities, problems);
  };
  const rows = jsonlRows(path, decodeLines(bytes, path, problems), keys, read, problems);
  const texts = rows.filter((row) => row !== undefined);
  const labels = options.labels ?? labelsOf(texts);
  const ids = new Map(labels.map((name, id) => [name, id]));
  const scheme = schemeOf(labels);
  const sentences = texts.flatMap((text) => taggedSentence(text, ids, scheme, problems) ?? []);
  return { sentences, labels };
}

const entitiesForm =
  'a list of {"start": 0, "end": 2, "label": "..."}, places in characters from 0, the end not included';
const entitySchema = z.object({
  start: z.int().min(0),
  end: z.int().min(0),
  label: z.string().min(1),
  text: z.string().optional(),
});
const entitiesSchema = z.array(entitySchema);
type Entity = z.infer<typeof entitySchema>;

/** A text as words, and its entities among them; undefined where nothing is said of entities. */
interface SplitText extends Required<Pick<TaggedSentence, 'line' | 'words' | 'text'>> {
  readonly spans: readonly EntitySpan[] | undefined;
}

/** Undefined where an entity is wrong: `problems` says what. */
function splitText(
  line: number,
  text: string,
  entities: readonly Entity[] | undefined,
  problems: Problem[],
): SplitText | undefined {
  const places = textWords(text);
  const words = places.map(({ start, end }) => text.slice(start, end));
  const split = { line, words, text };
  if (entities === undefined) return { ...split, spans: undefined };
  const points = codePointsBefore(text);
  const pointPlaces = places.map(({ start, end }) => ({ start: points(start), end: points(end) }));
  const characters = Array.from(text);
  const starts = new Map(pointPlaces.map(({ start }, word) => [start, word]));
  const ends = new Map(pointPlaces.map(({ end }, word) => [end, word + 1]));
  const before = problems.length;
  const spans: EntitySpan[] = [];
  for (const entity of entities) {
    const [start, end] = [starts.get(entity.start), ends.get(entity.end)];
    const message =
      problemOf(entity, characters) ?? (start === undefined || end === undefined ? cut(entity) : undefined);
    if (message !== undefined) problems.push({ line, message });
    else spans.push({ type: entity.label, start: start!, end: end! });
  }
  spans.sort((a, b) => a.start - b.start);
  for (const [i, span] of spans.entries()) {
    const last = spans[i - 1];
    if (last !== undefined && span.start < last.end) problems.push({ line, message: overlap(last, span) });
  }
  return problems.length === before ? { ...split, spans } : undefined;

  function cut({ start, end }: Entity): string {
    const isCut = (place: { start: number; end: number }): boolean =>
      [start, end].some((edge) => place.start < edge && edge < place.end);
    const parts = words.filter((_, word) => isCut(pointPlaces[word]!)).map(quote);
    const why = parts.length === 0 ? 'begins or ends with white space' : `cuts ${parts.join(' and ')}`;
    return `got an entity from ${start} to ${end} that ${why}, expected whole words`;
  }

  function overlap(first: EntitySpan, second: EntitySpan): string {
    const shown = ({ type, start, end }: EntitySpan): string =>
      `${type} from ${pointPlaces[start]!.start} to ${pointPlaces[end - 1]!.end}`;
    return `got ${shown(first)} and ${shown(second)}, expected entities that do not overlap`;
  }
}

/** What is wrong with an entity, whatever words there are. */
function problemOf({ start, end, label, text }: Entity, characters: readonly string[]): string | undefined {
  const got = `got an entity from ${start} to ${end}`;
  if (end <= start) return `${got}, expected its end behind its start (the end is not included)`;
  if (end > characters.length) return `${got}, expected it within the text's ${characters.length} characters`;
  if (label === outside) return `got the label ${outside} for an entity, which is that of all other words`;
  const there = characters.slice(start, end).join('');
  if (text === undefined || text === there) return undefined;
  return `${got} with the text ${quote(text)}, but there stands ${quoteJson(there)} (places count characters from 0)`;
}

function labelsOf(texts: readonly SplitText[]): string[] {
  const types = new Set(texts.flatMap(({ spans }) => spans?.map(({ type }) => type) ?? []));
  const sorted = [...types].sort(compareCodePoints);
  return [outside, ...sorted.flatMap((type) => [`B-${type}`, `I-${type}`])];
}

/** Undefined where the labels lack one that would be needed: `problems` says which. */
function taggedSentence(
  { line, words, text, spans }: SplitText,
  ids: ReadonlyMap<string, number>,
  scheme: TagScheme | undefined,
  problems: Problem[],
): TaggedSentence | undefined {
  if (spans === undefined) return { words, labels: [], line, text };
  const tags = scheme === undefined ? plainTags(spans, words.length, ids) : tagsOfEntities(spans, words.length, scheme);
  const lacking = tags.find((tag) => !ids.has(tag));
  if (lacking === undefined) return { words, labels: tags.map((tag) => ids.get(tag)!), line, text };
  problems.push({ line, message: unknownLabel(lacking, spans, ids) });
  return undefined;
}

/** Tags by labels of no scheme: those of IOB1, or types without a mark. */
function plainTags(spans: readonly EntitySpan[], words: number, ids: ReadonlyMap<string, number>): string[] {
  return tagsOfEntities(spans, words, 'IOB2').map((tag) => {
    const type = tag.slice(2);
    return [tag, `I-${type}`, type].find((name) => ids.has(name)) ?? tag;
  });
}

function unknownLabel(lacking: string, spans: readonly EntitySpan[], ids: ReadonlyMap<string, number>): string {
  const types = new Map([...ids].flatMap(([label, id]) => lenientEntities([label]).map(({ type }) => [type, id])));
  const type = spans.map((span) => span.type).find((name) => !types.has(name));
  if (type === undefined) return `got an entity that needs the label ${quote(lacking)}, expected one of ${listed(ids)}`;
  return `got label ${quote(type)}, expected one of ${listed(types)}${didYouMean(type, [...types.keys()])}`;
}
