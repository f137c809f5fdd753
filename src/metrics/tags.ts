/** Tags of words, and the entities that they spell: `O`, `B-PER`, `I-PER`, `E-PER`, `S-PER` and the like. */

/** Outside of every entity. */
export const outside = 'O';

export interface EntitySpan {
  readonly type: string;
  /** Its first word, from 0. */
  readonly start: number;
  /** Behind its last word. */
  readonly end: number;
}

/** Begin, inside, end (last), single (unit). */
type Mark = 'B' | 'I' | 'E' | 'S';

interface TagParts {
  readonly mark: Mark;
  readonly type: string;
}

const marks: Readonly<Record<string, Mark>> = { B: 'B', I: 'I', E: 'E', L: 'E', S: 'S', U: 'S' };

/** The type of `B` or `I` with nothing behind, as seqeval calls it. */
const nameless = '_';

/** Undefined for O. A label without a mark (`PER`) continues its type, as `I-PER` does. */
function partsOf(tag: string): TagParts | undefined {
  if (tag === outside) return undefined;
  const [, letter, type] = /^([BIELSU])(?:-(.+))?$/s.exec(tag) ?? [];
  return letter === undefined ? { mark: 'I', type: tag } : { mark: marks[letter]!, type: type ?? nameless };
}

/** Whether a label goes on with an entity: I-, E- and L-. A label without a mark (`PER`) says nothing of that. */
export const continuesEntity = (label: string): boolean => /^[IEL](-|$)/.test(label);

/** Whether a label is `O`, or a mark with or without a type. */
export const isTag = (label: string): boolean => label === outside || /^[BIELSU](-.+)?$/s.test(label);

/**
 * The entities of a sentence, as conlleval and seqeval's default mode find them: tags that break their scheme's rules
 * are made the best of. An I- that follows nothing of its type begins an entity.
 *
 * L- and U- are what E- and S- are, which seqeval does not know.
 */
export function lenientEntities(tags: readonly string[]): EntitySpan[] {
  const found: { type: string; start: number; end: number }[] = [];
  let isOpen = false;
  tags.forEach((tag, i) => {
    const parts = partsOf(tag);
    const last = found.at(-1);
    if (parts === undefined) {
      isOpen = false;
      return;
    }
    const { mark, type } = parts;
    const continues = isOpen && last?.type === type && mark !== 'B' && mark !== 'S';
    if (continues) last.end = i + 1;
    else found.push({ type, start: i, end: i + 1 });
    isOpen = mark === 'B' || mark === 'I';
  });
  return found;
}

export type TagScheme = 'IOB2' | 'IOBES' | 'BILOU';

const lettersOf: readonly (readonly [TagScheme, ReadonlySet<string>])[] = [
  ['IOB2', new Set(['B', 'I'])],
  ['IOBES', new Set(['B', 'I', 'E', 'S'])],
  ['BILOU', new Set(['B', 'I', 'L', 'U'])],
];

/** The scheme of a model's labels; undefined where they are of none, or say nothing of where an entity begins. */
export function schemeOf(labels: readonly string[]): TagScheme | undefined {
  const tags = labels.filter((label) => label !== outside);
  if (!tags.every(isTag) || !tags.some((tag) => tag.startsWith('B'))) return undefined;
  return lettersOf.find(([, letters]) => tags.every((tag) => letters.has(tag.charAt(0))))?.[0];
}

/**
 * The entities of a sentence, as seqeval's strict mode finds them: only what is tagged by the rules is one. In IOB2 it
 * begins with B-; in IOBES (BILOU) it is S- (U-), or B- to E- (L-).
 *
 * @param tags of the scheme
 */
export function strictEntities(tags: readonly string[], scheme: TagScheme): EntitySpan[] {
  const parts = tags.map(partsOf);
  return parts.flatMap((first, start) => {
    if (first === undefined || (first.mark !== 'B' && first.mark !== 'S')) return [];
    const end = endOf(parts, first, start);
    const isWhole = scheme === 'IOB2' || first.mark === 'S' || parts[end - 1]?.mark === 'E';
    return isWhole ? [{ type: first.type, start, end }] : [];
  });
}

/** Behind the tags that go on with the first. */
function endOf(parts: readonly (TagParts | undefined)[], { mark, type }: TagParts, start: number): number {
  let end = start + 1;
  for (let isOpen = mark === 'B'; isOpen; end++) {
    const next = parts[end];
    if (next?.type !== type || (next.mark !== 'I' && next.mark !== 'E')) break;
    isOpen = next.mark === 'I';
  }
  return end;
}

/** The tags of a scheme that spell entities, for so many words. */
export function tagsOfEntities(spans: readonly EntitySpan[], words: number, scheme: TagScheme): string[] {
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
