import type { TaggedSentence } from '../data/example.js';
import { lenientEntities, schemeOf, tagsOfEntities } from '../metrics/tags.js';
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
    const ids = tagsOfEntities(spans, sentence.words.length, scheme).map((tag) => known.get(tag));
    return ids.every((id) => id !== undefined) ? { ...sentence, labels: ids } : sentence;
  });
  return regular.every(keeps) ? { sentences: regular, isRegular: true } : { sentences, isRegular: false };
}
