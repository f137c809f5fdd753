import type { Batch } from '../data/batches.js';
import { UserError } from '../errors.js';
import { differenceOf, ownAnswers, type Answers } from '../export/answers.js';
import { servedLabels } from '../export/served-model.js';
import { loadFinishedModel, type FinishedModel } from '../training/finished-model.js';
import type { InterruptWatch } from '../training/interrupt.js';
import type { Bar } from '../ui/reporter.js';
import type { Sample } from './export-sample.js';

/** What an export's probabilities may differ by from the model's own: for the order of sums, nothing else. */
const tolerance = 1e-5;

/** An export in memory. */
export interface LoadedExport {
  answer(batch: Batch): Answers;
  dispose(): void;
}

/** A finished model, computed in fp32. */
export function loadOwn(finished: FinishedModel): LoadedExport {
  const model = loadFinishedModel(finished, 'fp32');
  const served = servedLabels(finished);
  return {
    answer: (batch) => ownAnswers(model, batch, served),
    dispose: () => {
      model.dispose();
    },
  };
}

/**
 * Asks the model itself, and then what was written: one after the other, so that one at a time is in memory.
 *
 * @returns the largest difference of two probabilities; undefined where a signal ended it
 * @throws UserError 'files' where the model itself has no answers; Error where they differ by more than the tolerance, or in a label: the export is wrong
 */
export async function verifyExport(
  finished: FinishedModel,
  loadExport: () => LoadedExport,
  { batches, source }: Sample,
  watch: InterruptWatch,
  bar: Bar,
): Promise<number | undefined> {
  let done = 0;
  const answersOf = async (load: () => LoadedExport): Promise<Answers[] | undefined> => {
    const loaded = load();
    try {
      const answers: Answers[] = [];
      for (const batch of batches) {
        answers.push(loaded.answer(batch));
        bar.update((done += batch.size));
        await watch.poll();
        if (watch.exitCode !== undefined) return undefined;
      }
      return answers;
    } finally {
      loaded.dispose();
    }
  };
  try {
    const own = await answersOf(() => loadOwn(finished));
    if (own === undefined) return undefined;
    if (own.some(({ probabilities }) => probabilities.some(Number.isNaN))) {
      throw new UserError(
        'files',
        `${finished.folder}: the model answers with numbers that are none (NaN) on ${source}`,
        'Its training has diverged, or its weights are damaged: t4 inspect shows what they hold.',
      );
    }
    const exported = await answersOf(loadExport);
    if (exported === undefined) return undefined;
    const served = servedLabels(finished);
    const differences = own.map((answers, i) => differenceOf(answers, exported[i]!, served, tolerance));
    const largest = differences.reduce((most, each) => Math.max(most, each.largest), 0);
    const labels = differences.reduce((sum, each) => sum + each.labels, 0);
    if (!(largest <= tolerance) || labels > 0) {
      throw new Error(
        `what was exported answers something else than its checkpoint on ${source}: probabilities differ by ` +
          `${largest}, at most ${tolerance} is right; ${labels} labels differ`,
      );
    }
    return largest;
  } finally {
    bar.stop();
  }
}
