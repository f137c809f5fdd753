import stringWidth from 'string-width';

export type Align = 'left' | 'right';

/** Pads to a width counted in terminal columns, where a Chinese character takes two. */
export function padColumns(text: string, width: number, align: Align): string {
  const gap = ' '.repeat(Math.max(0, width - stringWidth(text)));
  return align === 'left' ? text + gap : gap + text;
}

/**
 * Rows of cells as lines of aligned columns, two spaces apart, without trailing blanks.
 * @param align one entry a column; columns beyond its end are right-aligned (numbers)
 */
export function formatTable(rows: readonly (readonly string[])[], align: readonly Align[] = ['left']): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, stringWidth(cell));
    });
  }
  return rows
    .map((row) => row.map((cell, column) => padColumns(cell, widths[column]!, align[column] ?? 'right')).join('  '))
    .map((line) => line.trimEnd())
    .join('\n');
}

/** Cuts to a width in terminal columns, so that a progress line never wraps. */
export function cutColumns(text: string, width: number): string {
  if (stringWidth(text) <= width) return text;
  let cut = '';
  for (const character of text) {
    if (stringWidth(cut + character) > width) break;
    cut += character;
  }
  return cut;
}
