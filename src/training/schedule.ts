import type { TrainingConfig } from '../task/schema.js';

/** How the learning rate goes on behind the warmup. */
export type Decay =
  | { readonly kind: 'linear' | 'cosine' | 'constant' }
  | {
      readonly kind: 'polynomial';
      readonly power: number;
      /** The share of the peak that is left at the end. */
      readonly end: number;
    };

/** Steps of a run. */
export interface ScheduleSettings {
  readonly totalSteps: number;
  readonly warmupSteps: number;
  /** Absent: linear. */
  readonly decay?: Decay;
}

/**
 * The share of the peak learning rate at step `step` (from 0). It rises linearly from 0 in the warmup; behind it, where p
 * is the part of the other steps that is over, it is (as in transformers' `optimization.py`)
 * - linear: 1 - p
 * - cosine: (1 + cos(pi p)) / 2 (Loshchilov and Hutter, arXiv:1608.03983, without restarts)
 * - constant: 1
 * - polynomial: (1 - end) (1 - p)^power + end
 */
export function scheduleShare(step: number, settings: ScheduleSettings): number {
  const { totalSteps, warmupSteps, decay = { kind: 'linear' } } = settings;
  if (step < warmupSteps || decay.kind === 'linear') return linearSchedule(step, settings);
  const over = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  switch (decay.kind) {
    case 'cosine':
      return Math.max(0, (1 + Math.cos(Math.PI * over)) / 2);
    case 'constant':
      return 1;
    case 'polynomial':
      return (1 - decay.end) * (1 - over) ** decay.power + decay.end;
  }
}

/**
 * The share of the peak learning rate at step `step` (from 0): rises linearly from 0 in the warmup, then falls
 * linearly to 0. Continuous at the join: transformers' `get_linear_schedule_with_warmup`.
 */
export function linearSchedule(
  step: number,
  { totalSteps, warmupSteps }: Pick<ScheduleSettings, 'totalSteps' | 'warmupSteps'>,
): number {
  if (step < warmupSteps) return step / Math.max(1, warmupSteps);
  return Math.max(0, (totalSteps - step) / Math.max(1, totalSteps - warmupSteps));
}

/** Steps of warmup: given as such, or a share of all, rounded up as transformers' Trainer does. */
export function warmupSteps(
  totalSteps: number,
  given: { warmup_steps?: number | undefined; warmup_ratio: number },
): number {
  return Math.min(totalSteps, given.warmup_steps ?? Math.ceil(totalSteps * given.warmup_ratio));
}

/** The decay that a task asks for. */
export function decayOf(
  training: Pick<TrainingConfig, 'schedule' | 'learning_rate' | 'polynomial_power' | 'end_learning_rate'>,
): Decay {
  const { schedule: kind } = training;
  if (kind !== 'polynomial') return { kind };
  const { polynomial_power: power = 1, end_learning_rate: end = 0 } = training;
  return { kind, power, end: end / training.learning_rate };
}
