import { formatCount, formatDuration, formatPercent } from './format.js';
import type { Payload } from './reporter.js';

export interface Progress {
  readonly label: string;
  readonly done: number;
  readonly total: number;
  /** steps done before the clock started */
  readonly start: number;
  readonly seconds: number;
  readonly payload: Payload;
}

/** "120/400  30 %  1 m 10 s left  loss 0.4321" */
export function progressText(progress: Progress): string {
  const { done, total, start, seconds, payload } = progress;
  const parts = [`${formatCount(done)}/${formatCount(total)}`];
  if (total > 0) parts.push(formatPercent(done / total));
  if (done >= total) parts.push(formatDuration(seconds));
  else if (done > start) parts.push(`${formatDuration((seconds / (done - start)) * (total - done))} left`);
  for (const [name, value] of Object.entries(payload)) parts.push(`${name} ${value}`);
  return parts.join('  ');
}
