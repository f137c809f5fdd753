import type { TaggedSentence } from '../data/conll.js';
import { lenientEntities, outside, schemeOf, type EntitySpan, type TagScheme } from '../metrics/tags.js';
import { transitionRules } from '../models/crf-rules.js';

/**
 * Sentences whose labels keep to the rules of their scheme, so that a CRF may forbid what breaks them: where labels break
 * them (an I- after nothing, IOB1), the entities that they are read as (see lenientEntities) are spelled anew.
 *
 * @returns isRegular: whether all labels keep to the rules now; not where the labels are of no scheme, or lack one that
 *   would be needed
 */
export function regularSentences(
  sentences: readonly TaggedSentence[],
  labels: readonly string[],
): { sentences: readonly TaggedSentence[]; isRegular: boolean } {
  const scheme = schemeOf(labels);
  if (scheme === undefined) return { sentences, isRegular: false };
  const { transitions, start, end } = transitionRules(labels, scheme);
  const keeps = ({ labels: ids }: TaggedSentence): boolean =>
    start[ids[0]!] === 0 &&
    end[ids.at(-1)!] === 0 &&
    ids.every((id, i) => i === 0 || transitions[ids[i - 1]! * labels.length + id] === 0);
  const known = new Map(labels.map((label, id) => [label, id]));
  const regular = sentences.map((sentence) => {
    if (keeps(sentence)) return sentence;
    const spans = lenientEntities(sentence.labels.map((id) => labels[id]!));
    const ids = spelled(spans, sentence.words.length, scheme).map((tag) => known.get(tag));
    return ids.every((id) => id !== undefined) ? { ...sentence, labels: ids } : sentence;
  });
  return regular.every(keeps) ? { sentences: regular, isRegular: true } : { sentences, isRegular: false };
}

/** The tags of a scheme for entities. */
function spelled(spans: readonly EntitySpan[], words: number, scheme: TagScheme): string[] {
  const tags = new Array<string>(words).fill(outside);
  const [last, single] = scheme === 'BILOU' ? ['L', 'U'] : ['E', 'S'];
  for (const { type, start, end } of spans) {
    for (let word = start; word < end; word++) tags[word] = `${word === start ? 'B' : 'I'}-${type}`;
    if (scheme === 'IOB2') continue;
    if (end - start === 1) tags[start] = `${single}-${type}`;
    else tags[end - 1] = `${last}-${type}`;
  }
  return tags;
}
