import { extname } from 'node:path';
import type { ModelCard } from '../checkpoints/model-folder.js';
import type { Columns } from '../data/columns.js';
import { dataFormats, guessFormat, type DataFormat } from '../data/format.js';
import { UserError } from '../errors.js';
import type { ColumnOptions, InputFormat, PredictOptions } from './options.js';

/** Where a file's texts and labels stand: as the flags say, else as the model's card says, else by the usual names. */

export const columnsHint =
  'Name the columns with --text-column and the like; positions from 0 where the file has no header.';

export const formatHint = `Name it: --format ${dataFormats.join(', ')}.`;

type Layout = Pick<ModelCard, 'format' | 'columns'> | undefined;

/**
 * @param options the flags; what the model's card says counts besides where both are names, or both positions
 * @param card of the model, where it has one
 * @throws UserError 'usage' for columns that the format cannot have
 */
export function columnsOf(
  { textColumn, pairColumn, labelColumn }: ColumnOptions & { readonly labelColumn?: string | undefined },
  card: Layout,
  format: DataFormat,
): Columns {
  const given = [textColumn, pairColumn, labelColumn].map((flag) => columnOf(flag, format));
  const kind = typeof given.find((column) => column !== undefined);
  const own = (column: string | number | undefined) =>
    kind === 'undefined' || typeof column === kind ? column : undefined;
  const text = given[0] ?? own(card?.columns?.text) ?? 'text';
  if (format === 'jsonl' && typeof text === 'number') {
    throw new UserError('usage', `JSONL has keys, and the model's text column is a position, ${text}`, columnsHint);
  }
  const pair = given[1] ?? own(card?.columns?.pair);
  return { text, pair, label: given[2] ?? own(card?.columns?.label) ?? 'label' };
}

const columnOf = (flag: string | undefined, format: DataFormat): string | number | undefined =>
  flag !== undefined && format !== 'jsonl' && /^\d+$/.test(flag) ? Number(flag) : flag;

/** The format of unlabelled input. @param path undefined: not a file */
export function inputFormatOf(
  options: Pick<PredictOptions, 'format'>,
  card: Layout,
  path: string | undefined,
): InputFormat {
  if (options.format !== undefined) return options.format;
  if (path === undefined || extname(path).toLowerCase() === '.txt') return 'lines';
  try {
    return guessFormat(path);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    if (card?.format !== undefined && card.format !== 'conll') return card.format;
    throw new UserError(error.kind, error.message, `Name it: --format lines, ${dataFormats.join(', ')}.`);
  }
}
