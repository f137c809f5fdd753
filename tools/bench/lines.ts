import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { createRandom } from '../../src/data/random.js';
import { nodeCommand, runToEnd } from './child.js';
import type { BenchOptions } from './options.js';

export interface LinesRun {
  /** From the start of the process until the first step was done. */
  readonly firstStepSeconds: number;
  /** From its start to its end. */
  readonly seconds: number;
  readonly peakBytes: number;
  /** Resident bytes after so many steps. */
  readonly samples: readonly { readonly step: number; readonly bytes: number }[];
}

export interface LinesResult {
  readonly lines: number;
  readonly fileBytes: number;
  readonly cacheBytes: number;
  /** What the first run took longer to its first step than the second one, which found the examples in the cache. */
  readonly cacheSeconds: number;
  /** The first one tokenizes. */
  readonly runs: readonly [LinesRun, LinesRun];
  /** Of the second run, between its first sample and its last. */
  readonly growthBytes: number;
}

/** `t4 finetune` on many generated lines, twice: a BERT of two layers, so that the time is that of the data. */
export async function benchLines(
  { device, lines, memorySteps: steps }: BenchOptions,
  say: (text: string) => void,
): Promise<LinesResult> {
  const folder = mkdtempSync(join(tmpdir(), 't4-bench-'));
  try {
    const data = join(folder, 'train.tsv');
    say(`lines: writing ${lines}`);
    writeLines(data, lines);
    const task = join(folder, 'task.yaml');
    // JSON is YAML.
    writeFileSync(
      task,
      JSON.stringify({
        task: 'classification',
        data: { train: data, columns: { text: 'text', label: 'label' } },
        model: { config: 'bert-tiny', max_length: 32 },
        training: { epochs: 1, max_steps: steps, log_every: 1 },
      }),
    );
    const train = (name: string): Promise<LinesRun> => {
      say(`lines: ${steps} steps, ${name} run`);
      return finetune({ task, cache: folder, run: join(folder, name), device, steps });
    };
    const runs = [await train('first'), await train('second')] as const;
    const { samples } = runs[1];
    return {
      lines,
      fileBytes: statSync(data).size,
      cacheBytes: encodedBytes(folder),
      cacheSeconds: runs[0].firstStepSeconds - runs[1].firstStepSeconds,
      runs,
      growthBytes: samples.at(-1)!.bytes - samples[0]!.bytes,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Lines of 3 to 12 English words, which the tokenizer sees as seldom or often as any: `label<TAB>text`. */
function writeLines(path: string, count: number): void {
  const vocabulary = readFileSync('configs/vocab/bert-base-uncased/vocab.txt', 'utf8').split('\n');
  const words = vocabulary.filter((word) => /^[a-z]{2,}$/.test(word));
  const random = createRandom(1);
  // Two in a row make words of several pieces, as names and rare words are.
  const word = (): string => words[random(words.length)]! + (random(10) === 0 ? words[random(words.length)]! : '');
  const file = openSync(path, 'w');
  try {
    writeSync(file, 'label\ttext\n');
    for (let done = 0; done < count;) {
      const block: string[] = [];
      for (; block.length < 10_000 && done < count; done++) {
        block.push(`${random(2)}\t${Array.from({ length: 3 + random(10) }, word).join(' ')}\n`);
      }
      writeSync(file, block.join(''));
    }
  } finally {
    closeSync(file);
  }
}

interface Job {
  readonly task: string;
  /** Where the encoded examples are kept: XDG_CACHE_HOME. */
  readonly cache: string;
  readonly run: string;
  readonly device: BenchOptions['device'];
  readonly steps: number;
}

const logSchema = z.object({ step: z.int(), rss_bytes: z.number().optional() });

async function finetune({ task, cache, run, device, steps }: Job): Promise<LinesRun> {
  const args = ['finetune', '--task', task, '--output', run, '--device', device, '--quiet'];
  // Not bin/t4.mjs, which would set up TensorFlow anew in the cache.
  const command = { ...nodeCommand('t4-main.js', args), env: { XDG_CACHE_HOME: cache } };
  const path = join(run, 'log.jsonl');
  let firstStepSeconds = NaN;
  const { seconds, peakBytes } = await runToEnd(command, device, (elapsed) => {
    if (Number.isNaN(firstStepSeconds) && (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0) {
      firstStepSeconds = elapsed;
    }
  });
  const log = readFileSync(path, 'utf8').trimEnd().split('\n');
  const every = Math.max(1, Math.floor(steps / 20));
  const samples = log
    .map((line) => logSchema.parse(JSON.parse(line)))
    .flatMap(({ step, rss_bytes: bytes }) => (bytes !== undefined && step % every === 0 ? [{ step, bytes }] : []));
  return { firstStepSeconds, seconds, peakBytes, samples };
}

function encodedBytes(cache: string): number {
  const folder = join(cache, 't4', 'data');
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}
