import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../errors.js';
import { readSmallFile } from '../small-file.js';
import { parseYaml } from '../task/yaml.js';
import { checkpointSteps } from '../training/checkpoints.js';
import { readJson } from './json.js';

/** The folder of a run, read without its data. */

export interface RunDescription {
  readonly path: string;
  /** What kind of task it was trained on. */
  readonly task: string | undefined;
  /** What the model was before. */
  readonly source: string | undefined;
  /** Whether it came to its end: then there is a model. */
  readonly finished: boolean;
  readonly best: { readonly epoch: number; readonly step: number; readonly dev: Scores | undefined } | undefined;
  readonly test: Scores | undefined;
  /** Steps that a resume could continue from, oldest first. */
  readonly checkpoints: readonly number[];
}

/** Figures by name: accuracy, loss ... */
export type Scores = Readonly<Record<string, number>>;

export const isRun = (folder: string): boolean => existsSync(join(folder, 'task.yaml'));

const taskSchema = z.looseObject({
  task: z.string().optional().catch(undefined),
  model: z
    .looseObject({ source: z.string().nullish().catch(undefined), config: z.string().nullish().catch(undefined) })
    .optional()
    .catch(undefined),
});

// Not every figure of every task is a number: null stands for what is not finite.
const scoresSchema = z
  .record(z.string(), z.unknown())
  .transform((scores) =>
    Object.fromEntries(
      Object.entries(scores).flatMap(([key, v]) => (typeof v === 'number' ? [[key, v] as const] : [])),
    ),
  );

const metricsSchema = z.looseObject({
  best: z.looseObject({ epoch: z.number(), step: z.int(), dev: scoresSchema.optional() }).optional(),
  test: scoresSchema.optional(),
});

/** Describes a run. Throws UserError 'files' where its files are damaged. */
export function describeRun(folder: string): RunDescription {
  const task = readTask(join(folder, 'task.yaml'));
  const metrics = readMetrics(join(folder, 'metrics.json'));
  return {
    path: folder,
    task: task.task,
    source: task.model?.source ?? task.model?.config ?? undefined,
    finished: metrics !== undefined,
    best:
      metrics?.best === undefined
        ? undefined
        : { epoch: metrics.best.epoch, step: metrics.best.step, dev: metrics.best.dev },
    test: metrics?.test,
    checkpoints: checkpointSteps(folder),
  };
}

function readTask(path: string): z.infer<typeof taskSchema> {
  const { value, problems } = parseYaml(readSmallFile(path).toString('utf8'), path);
  const parsed = taskSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [problem] = problems;
  throw new UserError('files', problem === undefined ? `${path}: not a task` : `${problem.where}: ${problem.message}`);
}

function readMetrics(path: string): z.infer<typeof metricsSchema> | undefined {
  if (!existsSync(path)) return undefined;
  const parsed = metricsSchema.safeParse(readJson(path, `${path} is missing`));
  if (!parsed.success) throw new UserError('files', `${path}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
