import type { CheckpointState } from './checkpoints.js';
import type { LogFile } from './log-file.js';
import type { LoopEvent } from './loop.js';
import type { Peak } from './peak.js';
import type { Run } from './run.js';

type StepEvent = Extract<LoopEvent<never>, { kind: 'step' }>;
type SinceLog = CheckpointState['sinceLog'];

type LoggedRun = Pick<Run, 'schedule'> & {
  readonly start: Pick<CheckpointState, 'sinceLog'>;
  readonly settings: Pick<Run['settings'], 'log_every'>;
};

const nothing = { examples: 0, tokens: 0, flops: 0 };

/** Writes a line of log.jsonl every `log_every` steps: the mean loss since the last line, in whichever sitting that was. */
export function createStepLog(
  { start, settings, schedule }: LoggedRun,
  peak: Peak,
  file: LogFile,
): { step(event: StepEvent): SinceLog; recentLoss(): number } {
  let since = performance.now();
  let here = nothing;
  let sum: SinceLog = start.sinceLog;
  let recent = NaN;
  return {
    recentLoss: () => recent,
    step(event) {
      sum = { steps: sum.steps + 1, loss: sum.loss + event.loss };
      here = {
        examples: here.examples + event.examples,
        tokens: here.tokens + event.tokens,
        flops: here.flops + event.flops,
      };
      recent = Number.isNaN(recent) ? event.loss : 0.9 * recent + 0.1 * event.loss;
      if (event.step % settings.log_every !== 0 && event.step !== schedule.totalSteps) return sum;
      const seconds = (performance.now() - since) / 1000;
      const share = peak.share(here.flops / seconds);
      file.append({
        step: event.step,
        epoch: Number(event.epoch.toFixed(4)),
        loss: sum.loss / sum.steps,
        learning_rate: event.learningRate,
        grad_norm: event.gradNorm,
        examples_per_second: Number((here.examples / seconds).toFixed(2)),
        tokens_per_second: Number((here.tokens / seconds).toFixed(1)),
        ...(share === undefined ? {} : { share_of_peak: Number(share.toFixed(4)) }),
        rss_bytes: process.memoryUsage.rss(),
      });
      since = performance.now();
      here = nothing;
      sum = { steps: 0, loss: 0 };
      return sum;
    },
  };
}
