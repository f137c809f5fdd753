import { existsSync, fsyncSync, mkdirSync, openSync, closeSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readJson, writeJson } from '../checkpoints/json.js';
import { UserError } from '../errors.js';
import type { LoopState } from './loop.js';

/**
 * A run's checkpoints: `checkpoints/<step>/` with the weights and moments (TensorFlow checkpoints) and `state.json`.
 * A folder is written under a name that begins with a dot and renamed when it is complete, so a folder whose name is
 * a number is always whole.
 */

const stateSchema = z.object({
  step: z.int().nonnegative(),
  evaluated: z.int().nonnegative(),
  best: z.object({ step: z.int().nonnegative(), score: z.number().nullable() }).nullable(),
  unimproved: z.int().nonnegative().default(0),
  seconds: z.number().nonnegative(),
  examples: z.int().nonnegative(),
});

/** What a resume needs besides the tensors. The order of the data and the dropout masks follow from seed and step. */
export interface CheckpointState extends LoopState {
  /** What has been spent on the steps so far, in all sittings. */
  readonly seconds: number;
  /** Examples trained on so far. */
  readonly examples: number;
}

const folderOf = (runFolder: string, step: number): string => join(runFolder, 'checkpoints', String(step));

/** Writes the checkpoint of a step; `save` writes the tensors into the folder it is given. */
export function writeCheckpoint(runFolder: string, state: CheckpointState, save: (folder: string) => void): void {
  const target = folderOf(runFolder, state.step);
  const staged = join(runFolder, 'checkpoints', `.${state.step}.partial`);
  rmSync(staged, { recursive: true, force: true });
  mkdirSync(staged, { recursive: true });
  try {
    save(staged);
    const best = state.best === undefined ? null : { ...state.best, score: finiteOrNull(state.best.score) };
    writeJson(join(staged, 'state.json'), { ...state, best });
    for (const name of readdirSync(staged)) syncFile(join(staged, name));
    rmSync(target, { recursive: true, force: true });
    renameSync(staged, target);
  } catch (error) {
    rmSync(staged, { recursive: true, force: true });
    throw error;
  }
  syncFile(join(runFolder, 'checkpoints'));
}

const finiteOrNull = (value: number): number | null => (Number.isFinite(value) ? value : null);

function syncFile(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** The steps of the complete checkpoints, oldest first. */
export function checkpointSteps(runFolder: string): number[] {
  const folder = join(runFolder, 'checkpoints');
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter(
    (name) => /^\d+$/.test(name) && existsSync(join(folder, name, 'state.json')),
  );
  return names.map(Number).sort((a, b) => a - b);
}

/** The newest complete checkpoint. Throws UserError 'files' where there is none. */
export function newestCheckpoint(runFolder: string): { folder: string; state: CheckpointState } {
  const step = checkpointSteps(runFolder).at(-1);
  if (step === undefined) {
    throw new UserError('files', `${runFolder} has no complete checkpoint, so there is nothing to continue`);
  }
  const folder = folderOf(runFolder, step);
  const path = join(folder, 'state.json');
  const parsed = stateSchema.safeParse(readJson(path, `${path} is missing`));
  if (!parsed.success) throw new UserError('files', `${path}: ${z.prettifyError(parsed.error)}`);
  const { best } = parsed.data;
  return {
    folder,
    state: { ...parsed.data, best: best === null ? undefined : { ...best, score: best.score ?? NaN } },
  };
}

/** Removes all but the `keep` newest checkpoints and the best. */
export function pruneCheckpoints(runFolder: string, keep: number, bestStep: number | undefined): void {
  const steps = checkpointSteps(runFolder);
  for (const step of steps.slice(0, Math.max(0, steps.length - keep))) {
    if (step !== bestStep) rmSync(folderOf(runFolder, step), { recursive: true, force: true });
  }
}

/** The folder of a step's checkpoint. */
export const checkpointFolder = folderOf;
