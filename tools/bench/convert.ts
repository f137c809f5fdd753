import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { openCheckpoint } from '../../src/checkpoints/open.js';
import { nodeCommand, pythonCommand, runToEnd } from './child.js';
import { writeRandomBert } from './random-bert.js';

export interface ConversionResult {
  readonly from: string;
  readonly to: 'huggingface' | 'tensorflow';
  readonly verify: boolean;
  /** From the start of the process to its end. */
  readonly seconds: number;
  /** Of all values that are written, float32. */
  readonly modelBytes: number;
  readonly largestTensorBytes: number;
  readonly peakBytes: number;
  /** A quarter of the model, 300 MB, and its largest tensor: what a conversion without --verify may take. */
  readonly limitBytes: number;
}

/** Memory of `t4 convert` with models of some 400 to 500 MB: BERT-base, and RoBERTa-base as fairseq stored it. */
export async function benchConvert(say: (text: string) => void): Promise<ConversionResult[]> {
  const folder = mkdtempSync(join(tmpdir(), 't4-bench-'));
  const at = (name: string): string => join(folder, name);
  try {
    say('convert: making the models');
    mkdirSync(at('huggingface'));
    writeRandomBert(at('huggingface'), 'encoder');
    mkdirSync(at('fairseq'));
    await runToEnd(pythonCommand('fairseq_model.py', { path: at('fairseq/model.pt') }), 'cpu');
    const results: ConversionResult[] = [];
    for (const verify of [false, true]) {
      for (const [from, to] of [
        ['huggingface', 'tensorflow'],
        ['tensorflow', 'huggingface'],
        ['fairseq', 'tensorflow'],
      ] as const) {
        say(`convert: ${from} to ${to}${verify ? ', --verify' : ''}`);
        const output = at(`${from}-${to}`);
        // What the first of them wrote is the source of the second.
        const source = from === 'tensorflow' ? at('huggingface-tensorflow') : at(from);
        rmSync(output, { recursive: true, force: true });
        results.push({ from, to, verify, ...(await measure(source, to, output, verify)) });
      }
    }
    return results;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const peakSchema = z.object({ peakBytes: z.number() });

async function measure(source: string, to: string, output: string, verify: boolean) {
  const argv = [source, '--to', to, '--output', output, '--quiet', ...(verify ? ['--verify'] : [])];
  const { seconds, stdout } = await runToEnd(nodeCommand('t4-convert.js', argv), 'cpu');
  const { peakBytes } = peakSchema.parse(JSON.parse(stdout.trimEnd().split('\n').at(-1)!));
  const sizes = sizesOf(output);
  const modelBytes = sizes.reduce((sum, size) => sum + size, 0);
  const largestTensorBytes = Math.max(...sizes);
  return {
    seconds,
    modelBytes,
    largestTensorBytes,
    peakBytes,
    limitBytes: modelBytes / 4 + 300e6 + largestTensorBytes,
  };
}

/** Bytes of each tensor as float32. */
function sizesOf(folder: string): number[] {
  const checkpoint = openCheckpoint(folder);
  try {
    return [...checkpoint.tensors.values()].map(({ shape }) => 4 * shape.reduce((count, size) => count * size, 1));
  } finally {
    checkpoint.close();
  }
}
