import { writeFileSync } from 'node:fs';
import { benchConvert } from './convert.js';
import { benchFinetune } from './finetune.js';
import { benchInference } from './inference.js';
import { benchLines } from './lines.js';
import { benchLoad } from './load.js';
import { describeMachine } from './machine.js';
import { measureMatmul } from './matmul.js';
import { benchMemory } from './memory.js';
import { parseOptions, usage, type BenchOptions } from './options.js';
import { benchPredict, type PredictResult } from './predict.js';
import { print } from './print.js';
import { printConvert, printInference, printLoad, printPredict, printServe } from './report-models.js';
import { printFinetune, printLines, printMatmul, printMemory, printSteps, printTechniques } from './report-training.js';
import { benchServe } from './serve.js';
import { benchStep, type StepResult } from './step.js';
import { benchTechniques, type TechniquesResult } from './techniques.js';

const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

async function run(options: BenchOptions): Promise<void> {
  const machine = describeMachine(options.device);
  const results: Record<string, unknown> = { machine, options };
  const save = (name: string, value: unknown): void => {
    results[name] = value;
    // After each part, so that an interrupted run leaves what it has.
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(results, null, 2)}\n`);
  };
  print(JSON.stringify(machine, null, 2));
  const includes = (bench: BenchOptions['bench']): boolean =>
    options.bench === bench || (options.bench === 'all' && bench !== 'lines');
  if (includes('step')) {
    say('matrix products');
    const speeds = await measureMatmul(options);
    save('matmul', speeds);
    printMatmul(speeds);
    const steps: StepResult[] = [];
    for (const precision of options.precisions) {
      steps.push(await benchStep(options, precision, speeds, say));
      save('step', steps);
    }
    printSteps(steps, options);
  }
  if (includes('techniques')) {
    const techniques: TechniquesResult[] = [];
    for (const precision of options.precisions) {
      techniques.push(await benchTechniques(options, precision, say));
      save('techniques', techniques);
    }
    printTechniques(techniques, options);
  }
  if (includes('epoch')) {
    const sides = await benchFinetune(options, say);
    save('finetune', sides);
    printFinetune(sides, options);
  }
  if (includes('memory')) {
    const memory = await benchMemory(options, say);
    save('memory', memory);
    printMemory(memory);
  }
  if (includes('lines')) {
    const lines = await benchLines(options, say);
    save('lines', lines);
    printLines(lines);
  }
  if (includes('load')) {
    const load = await benchLoad(options.rounds, say);
    save('load', load);
    printLoad(load);
  }
  if (includes('convert')) {
    const conversions = await benchConvert(say);
    save('convert', conversions);
    printConvert(conversions);
  }
  if (includes('predict')) {
    const predictions: PredictResult[] = [];
    for (const precision of options.precisions) {
      predictions.push(await benchPredict(options, precision, say));
      save('predict', predictions);
    }
    printPredict(predictions);
  }
  if (includes('inference')) {
    const inference = await benchInference(options, say);
    save('inference', inference);
    printInference(inference);
  }
  if (includes('serve')) {
    const serving = await benchServe(options, say);
    save('serve', serving);
    printServe(serving);
  }
}

async function main(): Promise<number> {
  let options: BenchOptions | undefined;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    say(`bench: ${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    return 2;
  }
  if (options === undefined) print(usage);
  else await run(options);
  return 0;
}

process.exitCode = await main();
