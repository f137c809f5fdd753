import { quote } from '../data/problems.js';
import { listed } from '../data/read.js';
import { outside } from '../metrics/tags.js';
import { formatCount } from '../ui/format.js';
import {
  counted,
  createPlaces,
  findingOf,
  type Finding,
  type FindingKind,
  type Places,
  type Severity,
} from './findings.js';

/** Where each label stands in a file, and how often. */
export type LabelCounts = ReadonlyMap<string, Places>;

/** Counts a label, in the order of the file. */
export function addLabel(counts: Map<string, Places>, label: string, line: number): void {
  let places = counts.get(label);
  if (places === undefined) counts.set(label, (places = createPlaces()));
  places.add(line, () => quote(label));
}

/** Fewer examples than this are too few to learn a label from, if another has so many times more. */
const few = 5;

const ofFile = (severity: Severity, kind: FindingKind, file: string, message: string): Finding[] => [
  { severity, kind, file, message, count: 0, lines: [] },
];

/** What training refuses: nothing can be learned where all is the same. */
export function oneLabel(file: string, counts: LabelCounts, examples: number): Finding[] {
  if (counts.size > 1 || examples === 0) return [];
  const [only] = counts.keys();
  const got = only === undefined ? 'there is no label' : `the only label is ${quote(only)}`;
  return ofFile('error', 'one-label', file, `${got}, expected at least 2 different labels`);
}

/**
 * Labels of the task that a file has no example of.
 * @param isTrain whether a model is to learn them from this file
 */
export function withoutExample(
  file: string,
  counts: LabelCounts,
  labels: readonly string[],
  isTrain: boolean,
): Finding[] {
  const absent = labels.filter((label) => !counts.has(label));
  // A file without any label is told of as such.
  if (absent.length === 0 || counts.size === 0) return [];
  const names = listed(new Map(absent.map((name, id) => [name, id])));
  const what = isTrain ? 'it cannot be learned' : 'how well it is told is not measured';
  return ofFile('warning', 'label-without-example', file, `no example of the label ${names}: ${what}`);
}

/** Labels that are hard to learn because there is next to nothing of them. */
export function rareLabels(file: string, counts: LabelCounts): Finding[] {
  const all = [...counts.values()].map(({ count }) => count);
  const total = all.reduce((sum, count) => sum + count, 0);
  const largest = all.reduce((most, count) => Math.max(most, count), 0);
  const even = total / counts.size;
  const rare = [...counts].filter(([, { count }]) => (count < few && largest >= few * count) || 20 * count < even);
  return rare.flatMap(([label, places]) => {
    const examples = counted(places.count, 'example', 'examples');
    const message = `only ${examples} of ${quote(label)} among ${formatCount(total)}`;
    return findingOf('warning', 'rare-label', file, places, message);
  });
}

/** The types of entities that tags speak of, as lenientEntities names them. */
export function typesOf(tags: readonly string[]): string[] {
  const types = tags.filter((tag) => tag !== outside).map((tag) => tag.replace(/^[BIELSU](-|$)/, '') || '_');
  return [...new Set(types)];
}
