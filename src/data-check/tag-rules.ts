import { outside, schemeOf } from '../metrics/tags.js';

/** A place where tags break the rules of their scheme. */
export interface BrokenTag {
  /** The word, from 0. */
  readonly word: number;
  /** `I-PER after O, expected B-PER` */
  readonly message: string;
}

/** What the tags of a file have to obey. */
export type TagRules =
  /** An entity begins with B- (or S-), and where there are E- or S- it ends so. */
  | 'begin'
  | 'begin-and-end'
  /** IOB1: B- only where an entity of the same type stands right before it; or I- alone. */
  | 'inside';

interface Tag {
  readonly letter: string;
  readonly type: string;
}

function tagOf(label: string): Tag | undefined {
  if (label === outside) return undefined;
  const [, letter = 'I', type = ''] = /^([BIELSU])(?:-(.+))?$/s.exec(label) ?? [];
  return { letter, type };
}

/**
 * The rules that the tags of a file follow. Those of IOB1 and of IOB2 look alike; in IOB1 every B- stands right behind an
 * entity of its type.
 *
 * @param sentences label names of each word
 */
export function rulesOf(labels: readonly string[], sentences: Iterable<readonly string[]>): TagRules {
  const scheme = schemeOf(labels);
  if (scheme === 'IOBES' || scheme === 'BILOU') return 'begin-and-end';
  for (const tags of sentences) {
    for (const [i, label] of tags.entries()) {
      const tag = tagOf(label);
      const before = i === 0 ? undefined : tagOf(tags[i - 1]!);
      if (tag?.letter === 'B' && before?.type !== tag.type) return 'begin';
    }
  }
  return 'inside';
}

/** Where the tags of a sentence break the rules. */
export function brokenTags(tags: readonly string[], rules: TagRules): BrokenTag[] {
  if (rules === 'inside') return [];
  const found: BrokenTag[] = [];
  const mustEnd = rules === 'begin-and-end';
  let open: Tag | undefined;
  for (let word = 0; word <= tags.length; word++) {
    const tag = word < tags.length ? tagOf(tags[word]!) : undefined;
    const continues = tag !== undefined && (tag.letter === 'I' || tag.letter === 'E' || tag.letter === 'L');
    const before = word === 0 ? 'at the start of the sentence' : `after ${tags[word - 1]!}`;
    if (continues && open?.type !== tag.type) {
      found.push({ word, message: `${tags[word]!} ${before}, expected ${spelled('B', tag.type)}` });
    } else if (!continues && open !== undefined && mustEnd) {
      const got = word < tags.length ? tags[word]! : 'the end of the sentence';
      const expected = `more of ${open.type === '' ? 'the entity' : open.type}`;
      found.push({ word: Math.min(word, tags.length - 1), message: `${got} ${before}, expected ${expected}` });
    }
    open = tag !== undefined && (tag.letter === 'B' || tag.letter === 'I') ? tag : undefined;
  }
  return found;
}

const spelled = (letter: string, type: string): string => (type === '' ? letter : `${letter}-${type}`);
