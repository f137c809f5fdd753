import { listed } from '../data/read.js';
import { outside } from '../metrics/tags.js';
import { formatCount } from '../ui/format.js';
import { counted, type Finding, type FindingKind, type Severity } from './findings.js';

/** How often each label stands in a file. */
export type LabelCounts = ReadonlyMap<string, number>;

/** Fewer examples than this are too few to learn a label from, if another has so many times more. */
const few = 5;

const ofFile = (severity: Severity, kind: FindingKind, file: string, message: string): Finding[] => [
  { severity, kind, file, message, count: 0, lines: [] },
];

const sum = (counts: LabelCounts): number => [...counts.values()].reduce((total, count) => total + count, 0);

/** What checkLabels refuses: nothing can be learned where all is the same. */
export function oneLabel(file: string, counts: LabelCounts): Finding[] {
  if (counts.size !== 1) return [];
  const only = listed(new Map([...counts.keys()].map((name, id) => [name, id])));
  return ofFile('error', 'one-label', file, `all labels are ${only}, expected at least 2 different labels`);
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
  const total = sum(counts);
  const largest = [...counts.values()].reduce((most, count) => Math.max(most, count), 0);
  const even = total / counts.size;
  const rare = [...counts].filter(([, count]) => (count < few && largest >= few * count) || 20 * count < even);
  return rare.flatMap(([label, count]) => {
    const examples = counted(count, 'example', 'examples');
    return ofFile('warning', 'rare-label', file, `only ${examples} of ${label} among ${formatCount(total)}`);
  });
}

/** The types of entities that tags speak of, as lenientEntities names them. */
export function typesOf(tags: readonly string[]): string[] {
  const types = tags.filter((tag) => tag !== outside).map((tag) => tag.replace(/^[BIELSU](-|$)/, '') || '_');
  return [...new Set(types)];
}
