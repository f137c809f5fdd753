import { checkTask, type CheckReport, type Progress } from '../data-check/check.js';
import { reportText } from '../data-check/report-text.js';
import { tokenizerAtHand } from '../data-check/tokenizer-at-hand.js';
import { exitCodes } from '../errors.js';
import { loadTask } from '../task/load.js';
import type { Bar, Reporter } from '../ui/reporter.js';

export interface DataCheckOptions {
  /** a name in tasks/ or the path of a .yaml file */
  readonly task: string;
  readonly model: string | undefined;
  /** the folder that data paths are relative to */
  readonly data: string | undefined;
  /** `key=value`, in order */
  readonly set: readonly string[];
  /** warnings count as errors */
  readonly strict: boolean;
}

/** `t4 data check`: what is wrong with the data of a task. Resolves to the exit code. */
export function dataCheck({ task, model, data, set, strict }: DataCheckOptions, ui: Reporter): number {
  const resolved = loadTask({ task, model, dataDir: data, overrides: set });
  const report = checkTask(resolved, tokenizerAtHand(resolved), progressOn(ui));
  ui.json(report);
  ui.result(reportText(report));
  return isGood(report, strict) ? exitCodes.ok : exitCodes.data;
}

const isGood = ({ errors, warnings }: CheckReport, strict: boolean): boolean =>
  errors === 0 && (!strict || warnings === 0);

/** Fewer than this are checked before a bar could be read. */
const worthABar = 20_000;

function progressOn(ui: Reporter): Progress {
  let bar: Bar | undefined;
  return {
    start: (file, total) => {
      if (total >= worthABar) bar = ui.bar(total, `checking ${file}`);
    },
    update: (done) => bar?.update(done),
    stop: () => {
      bar?.stop();
      bar = undefined;
    },
  };
}
