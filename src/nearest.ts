import { distance } from 'fastest-levenshtein';

/** The known name most like what was typed, or undefined when none is near enough to be a slip. */
export function nearest(typed: string, known: readonly string[]): string | undefined {
  const wanted = typed.toLowerCase();
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const name of known) {
    const d = distance(wanted, name.toLowerCase());
    if (d < bestDistance) {
      best = name;
      bestDistance = d;
    }
  }
  const allowed = Math.ceil(wanted.length / 3);
  return best !== undefined && bestDistance <= allowed ? best : undefined;
}

/** " (did you mean X?)", or nothing. */
export function didYouMean(typed: string, known: readonly string[]): string {
  const name = nearest(typed, known);
  return name === undefined ? '' : ` (did you mean ${name}?)`;
}
