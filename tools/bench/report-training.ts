import { meanOf, standardDeviation } from '../../src/metrics/deviation.js';
import { formatBytes, formatCount, formatPercent } from '../../src/ui/format.js';
import { formatTable } from '../../src/ui/table.js';
import type { FinetuneSide } from './finetune.js';
import { levers } from './levers.js';
import type { LinesResult } from './lines.js';
import type { MatmulSpeeds } from './matmul.js';
import type { MemoryResult } from './memory.js';
import type { BenchOptions } from './options.js';
import { print, range, ratio, seconds } from './print.js';
import type { StepResult } from './step.js';
import type { TechniquesResult } from './techniques.js';

const gigaflops = (value: number): string => `${Math.round(value / 1e9)} GFLOP/s`;

export function printMatmul({ libraries, shapes, best }: MatmulSpeeds): void {
  const rows = Object.entries(libraries).flatMap(([library, speeds]) =>
    shapes.map((shape, i) => [library, shape.join(' x '), gigaflops(speeds.fp32[i]!), gigaflops(speeds.bf16[i]!)]),
  );
  print(`\nMatrix products\n`);
  const header = ['library', 'shape', 'fp32', 'bf16'];
  print(formatTable([header, ...rows, ['largest', '', gigaflops(best.fp32), gigaflops(best.bf16)]], ['left', 'left']));
}

export function printSteps(results: readonly StepResult[], { batch, length }: BenchOptions): void {
  print(`\nOne training step, BERT-base, batch ${batch} x ${length} tokens (medians)\n`);
  const header = [
    '',
    't4',
    'PyTorch',
    't4 / PyTorch',
    'range',
    "t4's limit",
    "PyTorch's limit",
    't4 of limit',
    'PyTorch of limit',
  ];
  const rows = results.map((result) => [
    result.precision,
    seconds(result.t4.medianSeconds),
    seconds(result.torch.medianSeconds),
    ratio(result.ratio),
    range(result.ratioRange),
    seconds(result.limitSeconds.t4),
    seconds(result.limitSeconds.torch),
    formatPercent(result.t4ShareOfLimit),
    formatPercent(result.torchShareOfLimit),
  ]);
  print(formatTable([header, ...rows]));
  const others = results.flatMap(({ precision, t4, torch }) => [
    [
      `peak memory, ${precision}`,
      formatBytes(t4.peakBytes),
      formatBytes(torch.peakBytes),
      ratio(t4.peakBytes / torch.peakBytes),
    ],
    [
      `process start to end of first step, ${precision}`,
      seconds(t4.firstStepSeconds),
      seconds(torch.firstStepSeconds),
      ratio(t4.firstStepSeconds / torch.firstStepSeconds),
    ],
  ]);
  print(`\n${formatTable([['', 't4', 'PyTorch', 't4 / PyTorch'], ...others])}`);
}

export function printTechniques(results: readonly TechniquesResult[], { batch, length }: BenchOptions): void {
  print(`\nOne training step of t4, BERT-base, batch ${batch} x ${length} tokens, beside the plain one (medians)\n`);
  const rows = results.flatMap((result) =>
    result.levers.map(({ lever, medianSeconds, ratioRange, peakBytes, peakRatio, ...step }) => [
      result.precision,
      lever === 'plain' ? 'plain' : levers[lever],
      seconds(medianSeconds),
      ratio(step.ratio),
      range(ratioRange),
      formatBytes(peakBytes),
      ratio(peakRatio),
    ]),
  );
  const header = ['', '', 'step', 'of plain', 'range', 'peak memory', 'of plain'];
  print(formatTable([header, ...rows], ['left', 'left']));
}

export function printFinetune(sides: readonly FinetuneSide[], { epochs, seeds }: BenchOptions): void {
  print(
    `\nFine-tuning MiniLM on sst-2-sentences, epochs: ${epochs}, seeds: ${seeds.join(', ')}; whole processes (medians)\n`,
  );
  const accuracy = (values: readonly number[]): string => {
    const mean = meanOf(values).toFixed(4);
    return values.length > 1 ? `${mean} ± ${standardDeviation(values).toFixed(4)}` : mean;
  };
  const rows = sides.map(({ name, runs, medianSeconds, peakBytes, ofDefault, ofBest }) => [
    name,
    seconds(medianSeconds),
    ratio(ofDefault.ratio),
    range(ofDefault.range),
    ratio(ofBest.ratio),
    range(ofBest.range),
    formatBytes(peakBytes),
    accuracy(runs.map(({ dev }) => dev.at(-1)!)),
    accuracy(runs.map(({ test }) => test)),
  ]);
  const header = [
    '',
    'wall clock',
    'of default',
    'range',
    'of best',
    'range',
    'peak memory',
    'dev accuracy',
    'test accuracy',
  ];
  print(formatTable([header, ...rows]));
}

export function printMemory({ samples, growthBytes }: MemoryResult): void {
  print(`\nResident memory of t4\n`);
  const rows = samples.map(({ step, bytes }) => [String(step), `${(bytes / 2 ** 20).toFixed(1)} MiB`]);
  print(formatTable([['step', 'resident'], ...rows], ['right']));
  print(`\ngrowth after the first ${samples[0]?.step ?? 0} steps: ${(growthBytes / 2 ** 20).toFixed(1)} MiB`);
}

export function printLines({ lines, fileBytes, cacheBytes, cacheSeconds, runs, growthBytes }: LinesResult): void {
  print(`\nt4 finetune on ${formatCount(lines)} lines, ${formatBytes(fileBytes)}\n`);
  const rows = runs.map((run, i) => [
    ['first run', 'second run'][i]!,
    seconds(run.firstStepSeconds),
    seconds(run.seconds),
    formatBytes(run.peakBytes),
  ]);
  print(formatTable([['', 'to the first step', 'whole process', 'peak memory'], ...rows]));
  print(`\ncache of encoded examples: ${formatBytes(cacheBytes)}, made in ${seconds(cacheSeconds)}\n`);
  const samples = runs[1].samples.map(({ step, bytes }) => [String(step), formatBytes(bytes)]);
  print(formatTable([['step of the second run', 'resident'], ...samples], ['right']));
  print(`\ngrowth between the first and the last of these: ${(growthBytes / 2 ** 20).toFixed(1)} MiB`);
}
