import stringWidth from 'string-width';
import { plural } from '../ui/format.js';
import { padColumns } from '../ui/table.js';
import { visible } from './encoding.js';
import type { ShownExample, ShownInput } from './show.js';

/**
 * An example as a person reads it: tokens with their ids, segments and labels below them, as many side by side as the
 * width allows.
 * @param width columns of the terminal
 */
export function shownText(file: string, example: ShownExample, width: number): string {
  const { line, inputs, cut } = example;
  const heading = [`${file}:${line}`, ...labelText(example)].join('  ');
  const bodies = inputs.map((input, i) => {
    const window = inputs.length === 1 ? '' : `, window ${i + 1} of ${inputs.length}`;
    return [`  ${plural(input.ids.length, 'token')}${window}`, ...inputLines(input, width)].join('\n');
  });
  return [heading, ...bodies, ...cutLines('text', cut.text), ...cutLines('pair', cut.pair)].join('\n');
}

function labelText({ label, labels }: ShownExample): string[] {
  if (label === null || labels === null) return ['no label'];
  const all = labels ?? (label === undefined ? undefined : [label]);
  if (all === undefined) return [];
  return [
    all.length === 0 ? 'none of the labels' : all.map(({ name, id }) => `${visible(name)} (id ${id})`).join(', '),
  ];
}

const cutLines = (what: string, tokens: readonly string[]): string[] =>
  tokens.length === 0
    ? []
    : [`  cut: ${plural(tokens.length, 'token')} at the end of the ${what}: ${visible(tokens.join(' '))}`];

const indent = '  ';
const gap = '  ';

function inputLines({ tokens, ids, segments, labels }: ShownInput, width: number): string[] {
  const rows = [
    { title: 'token', cells: tokens.map(visible) },
    { title: 'id', cells: ids.map(String) },
    { title: 'segment', cells: segments.map(String) },
    ...(labels === undefined ? [] : [{ title: 'label', cells: labels.map((name) => visible(name ?? '')) }]),
  ];
  const titleWidth = Math.max(...rows.map(({ title }) => title.length));
  const widths = tokens.map((_, i) => Math.max(...rows.map(({ cells }) => stringWidth(cells[i]!))));
  const room = width - indent.length - titleWidth;
  const blocks = blocksOf(widths, room).map(([from, before]) =>
    rows
      .map(({ title, cells }) => {
        const aligned = cells.slice(from, before).map((cell, i) => padColumns(cell, widths[from + i]!, 'left'));
        return `${indent}${title.padEnd(titleWidth)}${gap}${aligned.join(gap)}`.trimEnd();
      })
      .join('\n'),
  );
  return [blocks.join('\n\n')];
}

/** Columns that stand side by side: from, and before which. At least one in each block, however narrow the room. */
function blocksOf(widths: readonly number[], room: number): [from: number, before: number][] {
  const blocks: [from: number, before: number][] = [];
  for (let from = 0; from < widths.length;) {
    let [before, used] = [from + 1, widths[from]! + gap.length];
    while (before < widths.length && used + widths[before]! + gap.length <= room)
      used += widths[before++]! + gap.length;
    blocks.push([from, before]);
    from = before;
  }
  return blocks;
}
