import { outside, type TagScheme } from '../metrics/tags.js';

/**
 * What is added to the score of a forbidden transition. Every weight of a path that holds one is exp(-10000), which is
 * 0 in float32, as long as the logits of a few words do not differ by thousands. It is no larger, because float32 still
 * has three digits behind the point at 1e4, so that a sentence whose own tags break the rules keeps a finite loss and an
 * exact gradient; infinity would make it NaN.
 */
export const forbiddenScore = -1e4;

/** What is added to the scores of a CRF of L labels: 0, or `forbiddenScore`. */
export interface TransitionRules {
  /** From row to column, [L, L] row-major. */
  readonly transitions: readonly number[];
  /** For the label of the first word, [L]. */
  readonly start: readonly number[];
  /** For the label of the last word, [L]. */
  readonly end: readonly number[];
}

/**
 * The rules of a scheme: which label may follow which, begin and end a sentence. In IOB2 an I- follows a B- or I- of its
 * type. In IOBES (BILOU) an entity of several words goes from B- to E- (L-), one of a single word is S- (U-).
 *
 * @param labels tags of the scheme
 */
export function transitionRules(labels: readonly string[], scheme: TagScheme): TransitionRules {
  const score = (isAllowed: boolean): number => (isAllowed ? 0 : forbiddenScore);
  return {
    transitions: labels.flatMap((from) => labels.map((to) => score(mayFollow(from, to, scheme)))),
    start: labels.map((to) => score(mayFollow(outside, to, scheme))),
    end: labels.map((from) => score(mayFollow(from, outside, scheme))),
  };
}

const markOf = (label: string): string => label.charAt(0);
const typeOf = (label: string): string => label.slice(2);

function mayFollow(from: string, to: string, scheme: TagScheme): boolean {
  const continues = 'IEL'.includes(markOf(to));
  const isOpen = 'BI'.includes(markOf(from));
  if (continues) return isOpen && typeOf(from) === typeOf(to);
  return scheme === 'IOB2' || !isOpen;
}
