import { hash } from 'node:crypto';
import type { TaggedSentence } from '../data/example.js';
import { encodeWords } from '../data/encode-words.js';
import { continuesEntity, lenientEntities, outside, type EntitySpan } from '../metrics/tags.js';
import type { Tokenizer } from '../tokenization/tokenizer.js';
import type { TextChecks } from './check-rows.js';
import { counted, createPlaces, findingOf, type Finding, type Places } from './findings.js';
import { addLabel, type LabelCounts } from './labels.js';
import { brokenTags, rulesOf } from './tag-rules.js';

export interface SentenceSettings {
  readonly file: string;
  /** Label names by id. */
  readonly labels: readonly string[];
  /** Undefined where there is none at hand. */
  readonly tokenizer: Tokenizer | undefined;
  /** Tokens of an example, special ones included. */
  readonly maxLength: number;
  /** Told how many sentences are done. */
  readonly onProgress: (done: number) => void;
}

export interface CheckedSentences {
  readonly findings: readonly Finding[];
  /** How often each tag stands in the file. */
  readonly counts: LabelCounts;
  /** Entities of each type. */
  readonly entities: LabelCounts;
}

/** Looks at each sentence of a file of labelled words: its words, its tags, and whether its entities stay whole. */
export function checkSentences(
  sentences: readonly TaggedSentence[],
  checks: TextChecks,
  settings: SentenceSettings,
): CheckedSentences {
  const { file, labels, onProgress } = settings;
  const tagsOf = (sentence: TaggedSentence): string[] => sentence.labels.map((id) => labels[id]!);
  const rules = rulesOf(labels, lazily(sentences, tagsOf));
  const [counts, entities] = [new Map<string, Places>(), new Map<string, Places>()];
  const [broken, cut, beyond] = [createPlaces(), createPlaces(), createPlaces()];
  sentences.forEach((sentence, i) => {
    const tags = tagsOf(sentence);
    tags.forEach((tag, word) => {
      addLabel(counts, tag, lineOf(sentence, word));
    });
    const spans = lenientEntities(tags);
    for (const { type, start } of spans) addLabel(entities, type, lineOf(sentence, start));
    for (const { word, message } of brokenTags(tags, rules)) broken.add(lineOf(sentence, word), () => message);
    const sizes = checkWords(sentence, tags, checks);
    if (sizes !== undefined) checkEntities(sentence, spans, sizes, settings, { cut, beyond });
    if (i % 1000 === 999) onProgress(i + 1);
  });
  onProgress(sentences.length);
  return { findings: findingsOf(file, { broken, cut, beyond }, settings.maxLength), counts, entities };
}

/** In CoNLL each word has a line of its own. */
const lineOf = ({ line, text }: TaggedSentence, word: number): number => (text === undefined ? line + word : line);

function* lazily<T, U>(items: Iterable<T>, make: (item: T) => U): Generator<U> {
  for (const item of items) yield make(item);
}

/** Returns the tokens of each word, where there is a tokenizer. */
function checkWords(sentence: TaggedSentence, tags: readonly string[], checks: TextChecks): number[] | undefined {
  const { words, line, text } = sentence;
  if (text === undefined) {
    words.forEach((word, i) => {
      checks.encoding.look(line + i, word, false);
    });
  } else checks.encoding.look(line, text, true);
  // The tags of a sentence may be long: what stands for them is not.
  checks.repeats.look(line, [words.join(' ')], hash('sha1', tags.join(' '), 'base64'));
  return checks.tokens?.lookAtWords(line, words);
}

interface EntityPlaces {
  readonly cut: Places;
  readonly beyond: Places;
}

/** Whether each entity of a long sentence is whole in some window, as training and prediction will read them. */
function checkEntities(
  sentence: TaggedSentence,
  spans: readonly EntitySpan[],
  sizes: readonly number[],
  { labels, tokenizer, maxLength }: SentenceSettings,
  { cut, beyond }: EntityPlaces,
): void {
  if (tokenizer === undefined || spans.length === 0) return;
  const { words } = sentence;
  const room = tokenizer.roomFor(maxLength);
  const starts = [0];
  for (const size of sizes) starts.push(starts.at(-1)! + size);
  if (starts.at(-1)! <= room) return;
  const { windows } = encodeWords([{ ids: tokenizer.wordIds(words) }], tokenizer, maxLength, (id) =>
    continuesEntity(labels[id] ?? outside),
  );
  for (const { type, start, end } of spans) {
    if (starts[end]! <= room) continue;
    const isWhole =
      sizes.slice(start, end).every((size) => size <= room) &&
      windows.some(({ first, positions }) => first <= start && end <= first + positions.length);
    const message = (): string => `${type}, tokens ${starts[start]! + 1} to ${starts[end]!} of ${starts.at(-1)!}`;
    (isWhole ? beyond : cut).add(lineOf(sentence, start), message);
  }
}

function findingsOf(
  file: string,
  { broken, cut, beyond }: EntityPlaces & { readonly broken: Places },
  maxLength: number,
): Finding[] {
  const tags = counted(broken.count, 'tag breaks', 'tags break');
  const tooLong = counted(cut.count, 'entity is', 'entities are');
  const later = counted(beyond.count, 'entity lies', 'entities lie');
  return [
    ...findingOf('warning', 'broken-tags', file, broken, `${tags} the rules of their scheme`),
    ...findingOf('warning', 'cut-entity', file, cut, `${tooLong} cut: no window of ${maxLength} tokens has it whole`),
    ...findingOf(
      'note',
      'entity-beyond',
      file,
      beyond,
      `${later} beyond the first ${maxLength} tokens (model.max_length), in a later window`,
    ),
  ];
}
