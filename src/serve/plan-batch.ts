import { paddedRows, type Piece } from './pieces.js';

export interface BatchLimits {
  /** Most tokens of a batch, and of a call with its padding. */
  readonly budget: number;
  /** What a call of the model costs beside its tokens, in tokens. */
  readonly callCost: number;
}

/**
 * Which of the pieces that wait are computed next: those of the oldest one's kind, in the order in which they came, as many
 * as fit, so that nobody waits for more than the batches before. They are computed in calls of like length, cut where
 * padding would cost more than a further call does.
 *
 * @param waiting in the order in which they came; a piece that is larger than the budget by itself is computed alone
 * @returns the calls, shortest pieces first: positions in `waiting`
 */
export function planBatch(waiting: readonly Piece[], limits: BatchLimits): number[][] {
  const [oldest] = waiting;
  if (oldest === undefined) return [];
  const batch = [0];
  let tokens = oldest.rows * oldest.length;
  for (const [i, piece] of waiting.entries()) {
    if (i === 0 || !isOfKind(piece, oldest)) continue;
    tokens += piece.rows * piece.length;
    if (tokens > limits.budget) break;
    batch.push(i);
  }
  return callsOf(batch, waiting, limits);
}

/** The cheapest cuts between lengths: the best calls for the n shortest lengths, from those for fewer. */
function callsOf(batch: readonly number[], waiting: readonly Piece[], { budget, callCost }: BatchLimits): number[][] {
  const lengths = [...new Set(batch.map((i) => waiting[i]!.length))].sort((a, b) => a - b);
  const rowsOf = lengths.map((length) =>
    batch.filter((i) => waiting[i]!.length === length).reduce((sum, i) => sum + waiting[i]!.rows, 0),
  );
  const best: { cost: number; from: number }[] = [{ cost: 0, from: 0 }];
  for (const [last, width] of lengths.entries()) {
    let found = { cost: Infinity, from: last };
    let rows = 0;
    for (let from = last; from >= 0; from--) {
      rows += rowsOf[from]!;
      if (from < last && rows * width > budget) break;
      const cost = best[from]!.cost + callCost + paddedRows(rows, Math.floor(budget / width)) * width;
      if (cost < found.cost) found = { cost, from };
    }
    best.push(found);
  }
  const calls: number[][] = [];
  for (let end = lengths.length; end > 0; end = best[end]!.from) {
    const within = new Set(lengths.slice(best[end]!.from, end));
    calls.unshift(batch.filter((i) => within.has(waiting[i]!.length)));
  }
  return calls;
}

/** Whether what waits fills a batch, so that there is nothing to wait for. */
export function isFull(waiting: readonly Piece[], budget: number): boolean {
  const oldest = waiting[0];
  if (oldest === undefined) return false;
  if (oldest.kind === undefined) return true;
  let tokens = 0;
  for (const piece of waiting) {
    if (isOfKind(piece, oldest)) tokens += piece.rows * piece.length;
    if (tokens >= budget) return true;
  }
  return false;
}

const isOfKind = (piece: Piece, oldest: Piece): boolean => piece.kind !== undefined && piece.kind === oldest.kind;
