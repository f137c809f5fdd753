/** A character and where it comes from. */
export interface SourceCharacter {
  readonly character: string;
  readonly start: number;
  readonly end: number;
}

export interface Place {
  readonly start: number;
  readonly end: number;
}

/**
 * Finds pieces in the source that they were cut from, in order. Where both differ (a normalizer replaced `` by "), what
 * stands in the one stands for what stands in the other, up to where they agree again.
 *
 * @returns each piece's place; undefined for a piece of which there is nothing in the source
 */
export function alignCharacters(
  source: readonly SourceCharacter[],
  pieces: readonly (readonly string[])[],
): (Place | undefined)[] {
  const target = pieces.flat();
  const places = placesOf(source, target);
  let done = 0;
  return pieces.map(({ length }) => {
    let place: Place | undefined;
    for (const next of places.slice(done, done + length)) place = place === undefined ? next : union(place, next);
    done += length;
    return place === undefined || place.start === place.end ? undefined : place;
  });
}

const union = (a: Place, b: Place): Place => ({ start: Math.min(a.start, b.start), end: Math.max(a.end, b.end) });

/** The place of each character of the target. */
function placesOf(source: readonly SourceCharacter[], target: readonly string[]): Place[] {
  const places: Place[] = [];
  for (let [s, t] = [0, 0]; t < target.length;) {
    const same = source[s];
    if (same !== undefined && same.character === target[t]) {
      places.push({ start: same.start, end: same.end });
      s++;
      t++;
      continue;
    }
    const [skippedSource, skippedTarget] = difference(source, s, target, t);
    const replaced = spanOf(source, s, s + skippedSource);
    for (let i = 0; i < skippedTarget; i++) places.push(replaced);
    s += skippedSource;
    t += skippedTarget;
  }
  return places;
}

/** The place of source characters from `start` to before `end`; of none, the gap between their neighbours. */
function spanOf(source: readonly SourceCharacter[], start: number, end: number): Place {
  const [first, last] = [source[start], source[end - 1]];
  if (end > start && first !== undefined && last !== undefined) return { start: first.start, end: last.end };
  const gap = last?.end ?? first?.start ?? 0;
  return { start: gap, end: gap };
}

const farthest = 64;

/** The shortest stretch of each, from `s` and `t`, after which source and target agree: up to both ends, if nowhere. */
function difference(
  source: readonly SourceCharacter[],
  s: number,
  target: readonly string[],
  t: number,
): [source: number, target: number] {
  for (let sum = 1; sum <= farthest; sum++) {
    for (let skipped = 0; skipped <= sum; skipped++) {
      const character = source[s + sum - skipped]?.character;
      if (character !== undefined && character === target[t + skipped]) return [sum - skipped, skipped];
    }
  }
  return [source.length - s, target.length - t];
}
