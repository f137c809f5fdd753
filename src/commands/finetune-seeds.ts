import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readJson, writeJson } from '../checkpoints/json.js';
import { exitCodes, UserError } from '../errors.js';
import { meanOf, standardDeviation } from '../metrics/deviation.js';
import { createRun, type CreatedRun } from '../training/run-folder.js';
import { lockRun } from '../training/run-lock.js';
import { scoreName } from '../training/run.js';
import type { Reporter } from '../ui/reporter.js';
import { formatTable } from '../ui/table.js';
import { runMetricsSchema, type RunMetrics } from './finetune-metrics.js';
import type { FinetuneOptions } from './options.js';

/**
 * `t4 finetune --seeds 1,2,3`: the same run with each seed, in folders `seed-1`, `seed-2`, ... of the output folder. Each is
 * a run like any other. Beside them lie the task, the seeds (`seeds.json`) and, in the end, `metrics.json` with all of them.
 */

const seedsSchema = z.object({ seeds: z.array(z.int().nonnegative()).min(2) });

const fileOf = (folder: string): string => join(folder, 'seeds.json');

/**
 * The seeds to train with: of the command line, or those that a run to be continued was begun with. Undefined: the task's own.
 *
 * @throws UserError 'usage' where the two differ
 */
export function seedsOf({ seeds, output, resume, set }: FinetuneOptions): readonly number[] | undefined {
  if (seeds !== undefined && set.some((one) => /^training\.seed\s*=/.test(one))) {
    throw new UserError('usage', '--seeds and --set training.seed are two ways of saying one thing: leave one out');
  }
  if (!resume || output === undefined) return seeds;
  const path = fileOf(output);
  const before = existsSync(path) ? readSeeds(path) : undefined;
  if (seeds === undefined || seeds.join() === before?.join()) return before;
  const had = before === undefined ? 'was begun without --seeds' : `was begun with --seeds ${before.join(',')}`;
  throw new UserError('usage', `--resume: got --seeds ${seeds.join(',')}, but ${output} ${had}`, 'Leave --seeds out.');
}

function readSeeds(path: string): number[] {
  const parsed = seedsSchema.safeParse(readJson(path, `${path} is missing`));
  if (!parsed.success) throw new UserError('files', `${path}: ${z.prettifyError(parsed.error)}`);
  return parsed.data.seeds;
}

export interface SeedRuns {
  /** Where the folders of the runs are. */
  readonly folder: string;
  readonly seeds: readonly number[];
  readonly resume: boolean;
  readonly taskYaml: string;
  /** What stands in metrics.json besides the scores. */
  readonly circumstances: object;
  readonly ui: Reporter;
  /** Trains with a seed, or goes on. Resolves to the exit code where a signal ended it early. */
  train(seed: number, folder: string, resume: boolean): Promise<RunMetrics | number>;
}

/** Trains with each seed that has not been trained with yet, then says how the scores are spread. */
export async function runSeeds(runs: SeedRuns): Promise<number> {
  const { folder, seeds, resume } = runs;
  const created = resume ? undefined : createRun(folder, runs.taskYaml);
  const release = created?.release ?? lockRun(folder);
  try {
    if (created !== undefined) writeJson(fileOf(folder), { seeds });
    return await trainAll(runs, created);
  } finally {
    release();
  }
}

async function trainAll(runs: SeedRuns, created: CreatedRun | undefined): Promise<number> {
  const { folder, seeds, resume, ui } = runs;
  const finished: { seed: number; run: string; metrics: RunMetrics }[] = [];
  for (const [i, seed] of seeds.entries()) {
    const run = join(folder, `seed-${seed}`);
    const before = resume ? metricsOf(run) : undefined;
    ui.info(`seed ${seed} (${i + 1} of ${seeds.length})${before === undefined ? '' : ': trained already'}`);
    if (before !== undefined) {
      finished.push({ seed, run, metrics: before });
      continue;
    }
    const ended = await trainOne(runs, seed, run).catch((error: unknown) => {
      if (finished.length === 0 && !existsSync(run)) created?.discard();
      throw error;
    });
    if (typeof ended === 'number') return ended;
    finished.push({ seed, run, metrics: ended });
  }
  const dev = spreadOf(finished.map(({ metrics }) => metrics.best?.dev));
  const test = spreadOf(finished.map(({ metrics }) => metrics.test));
  const all = {
    dev,
    test,
    runs: finished.map(({ metrics, ...run }) => ({ ...run, ...metrics })),
    ...runs.circumstances,
  };
  writeJson(join(folder, 'metrics.json'), all);
  ui.json({ run: folder, ...all });
  ui.result(spreadTable(seeds, { dev, test }));
  return exitCodes.ok;
}

function trainOne(runs: SeedRuns, seed: number, run: string): Promise<RunMetrics | number> {
  const isBegun = existsSync(join(run, 'task.yaml'));
  // What died before it had its task holds nothing.
  if (runs.resume && !isBegun) rmSync(run, { recursive: true, force: true });
  return runs.train(seed, run, runs.resume && isBegun);
}

/** What a run has come to; undefined: it has not come to its end. */
function metricsOf(run: string): RunMetrics | undefined {
  const path = join(run, 'metrics.json');
  if (!existsSync(path)) return undefined;
  const parsed = runMetricsSchema.safeParse(readJson(path, `${path} is missing`));
  if (!parsed.success) throw new UserError('files', `${path}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

interface Spread {
  /** In the order of the seeds. */
  readonly values: readonly number[];
  readonly mean: number;
  /** Of the sample: the divisor is one less than the number of seeds. */
  readonly standard_deviation: number;
}

/** Of each score that every run has. Undefined where one was not measured. */
function spreadOf(
  scores: readonly (Readonly<Record<string, number>> | undefined)[],
): Record<string, Spread> | undefined {
  const known = scores.filter((one) => one !== undefined);
  if (known.length < scores.length) return undefined;
  const names = Object.keys(known[0] ?? {}).filter((name) => known.every((one) => name in one));
  return Object.fromEntries(
    names.map((name) => {
      const values = known.map((one) => one[name]!);
      return [name, { values, mean: meanOf(values), standard_deviation: standardDeviation(values) }];
    }),
  );
}

function spreadTable(
  seeds: readonly number[],
  splits: Readonly<Record<'dev' | 'test', Record<string, Spread> | undefined>>,
): string {
  const head = ['', ...seeds.map((seed) => `seed ${seed}`), 'mean', 'deviation'];
  const rows = (['dev', 'test'] as const).flatMap((split) =>
    Object.entries(splits[split] ?? {}).map(([name, { values, mean, standard_deviation }]) => [
      `${split} ${scoreName(name)}`,
      ...[...values, mean, standard_deviation].map((value) => value.toFixed(4)),
    ]),
  );
  return formatTable([head, ...rows]);
}
