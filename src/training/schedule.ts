/** Steps of a run. */
export interface ScheduleSettings {
  readonly totalSteps: number;
  readonly warmupSteps: number;
}

/**
 * The share of the peak learning rate at step `step` (from 0): rises linearly from 0 in the warmup, then falls
 * linearly to 0. Continuous at the join: transformers' `get_linear_schedule_with_warmup`.
 */
export function linearSchedule(step: number, { totalSteps, warmupSteps }: ScheduleSettings): number {
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
