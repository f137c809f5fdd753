/** What may be done to a training step, each alone, and what a table calls it. */
export const levers = {
  ema: 'EMA',
  fgm: 'FGM',
  pgd: 'PGD, 3 steps',
  vat: 'VAT',
  'gradient-penalty': 'gradient penalty',
  'r-drop': 'R-Drop',
  accumulation: 'accumulation of 2, each batch',
  recompute: 'recompute',
  'no-fused-ops': 'without fused ops',
  bf16: 'bf16',
} as const;

export type Lever = keyof typeof levers;

export const leverNames = Object.keys(levers) as Lever[];

/** Batches of a step with accumulation. */
export const accumulatedBatches = 2;
