import { parseArgs } from 'node:util';
import { leverNames, type Lever } from './levers.js';

export const precisions = ['fp32', 'bf16'] as const;
export type Precision = (typeof precisions)[number];

export const benches = [
  'step',
  'techniques',
  'epoch',
  'memory',
  'lines',
  'load',
  'convert',
  'predict',
  'inference',
  'serve',
  'all',
] as const;
export type Bench = (typeof benches)[number];

export interface BenchOptions {
  readonly bench: Bench;
  readonly device: 'cpu' | 'gpu';
  readonly precisions: readonly Precision[];
  /** Timed steps a round and side. */
  readonly steps: number;
  readonly rounds: number;
  readonly batch: number;
  readonly length: number;
  /** Of the techniques bench. */
  readonly levers: readonly Lever[];
  /** Of the epoch bench. */
  readonly epochs: number;
  readonly seeds: readonly number[];
  /** Of each of its files, from the beginning; undefined: all. */
  readonly rows: number | undefined;
  /** Steps of the memory bench, and of a run of the lines bench. */
  readonly memorySteps: number;
  /** Of the lines bench. */
  readonly lines: number;
  /** Of the serve bench: how many at once, how long, and over how many requests memory is looked at. */
  readonly clients: number;
  readonly seconds: number;
  readonly requests: number;
  readonly json: string | undefined;
}

export const usage = `Usage: npm run bench -- [PART] [options]

t4 beside PyTorch, Transformers and ONNX Runtime, on the same work in the same run. Meaningful on a machine that does
nothing else.
  step        one training step of BERT-base (random weights), and the share of the machine's matrix-product speed
  techniques  the same step with each technique and lever alone, beside the plain one
  epoch       a fine-tuning of sst-2-sentences with MiniLM, whole processes, beside Trainer's defaults and its best
  memory      t4's resident memory over many steps of changing shapes
  lines       t4 finetune on ten million generated lines, twice: time to the first step, memory, cache
  load        seconds and memory of loading BERT-base, 409 MB, from a safetensors file
  convert     memory of t4 convert with models of 400 and 500 MB, between Hugging Face, TensorFlow and fairseq
  predict     t4 predict beside Transformers' pipeline with batching, MiniLM on 2,693 sentences
  inference   classification with BERT-base beside ONNX Runtime: a batch, and one sentence of 32 tokens
  serve       t4 serve under the load of many clients, beside one request at a time, MiniLM; memory over many requests
  all         all of these but lines, the default (some two hours on 2 cores)

  --device cpu|gpu       default: cpu
  --precision fp32|bf16  one instead of both, of t4's in epoch; inference: always both
  --steps N              step, techniques, inference: timed steps or batches a round and side; default: 3
  --rounds N             step, techniques, predict, inference: rounds, the sides in turn; load: processes; default: 3
  --batch N, --length N  step, techniques, inference: default: 16 and 128
  --levers ema,fgm       techniques: default: all of
                         ${leverNames.join(', ')}
  --epochs N             epoch: default: 1
  --seeds 1,2,3          epoch: each on all sides in turn; default: 1,2,3
  --rows N               epoch: rows of each file, for a trial; default: all
  --memory-steps N       memory, lines: default: 2000
  --lines N              lines: default: 10000000
  --clients N, --seconds N, --requests N   serve: default: 64, 60 and, for memory, 100000
  --json FILE            writes all numbers there

The folder with the data sets: T4_SHARED, default ../shared. Python: T4_PYTHON, default .venv/bin/python.`;

const numberOptions = [
  'steps',
  'rounds',
  'batch',
  'length',
  'epochs',
  'rows',
  'memory-steps',
  'lines',
  'clients',
  'seconds',
  'requests',
] as const;

/** Undefined where --help is asked for. Throws a TypeError that says what is wrong. */
export function parseOptions(args: readonly string[]): BenchOptions | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      ...Object.fromEntries(numberOptions.map((name) => [name, { type: 'string' } as const])),
      device: { type: 'string', default: 'cpu' },
      precision: { type: 'string' },
      seeds: { type: 'string', default: '1,2,3' },
      levers: { type: 'string', default: leverNames.join(',') },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const given: Record<string, unknown> = values;
  const count = (name: (typeof numberOptions)[number], fallback: number): number => {
    const value = given[name] === undefined ? fallback : Number(given[name]);
    if (!Number.isInteger(value) || value < 1)
      throw new TypeError(`--${name}: got ${String(given[name])}, expected 1 or more`);
    return value;
  };
  const [bench = 'all', ...others] = positionals;
  if (others.length > 0) throw new TypeError(`one bench at a time, or all; got ${positionals.join(' ')}`);
  return {
    bench: oneOf('bench', bench, benches),
    device: oneOf('--device', values.device, ['cpu', 'gpu']),
    precisions: values.precision === undefined ? precisions : [oneOf('--precision', values.precision, precisions)],
    steps: count('steps', 3),
    rounds: count('rounds', 3),
    batch: count('batch', 16),
    length: count('length', 128),
    levers: values.levers.split(',').map((name) => oneOf('--levers', name, leverNames)),
    epochs: count('epochs', 1),
    seeds: seedsOf(values.seeds),
    rows: given.rows === undefined ? undefined : count('rows', 1),
    memorySteps: count('memory-steps', 2000),
    lines: count('lines', 10_000_000),
    clients: count('clients', 64),
    seconds: count('seconds', 60),
    requests: count('requests', 100_000),
    json: typeof values.json === 'string' ? values.json : undefined,
  };
}

function oneOf<T extends string>(what: string, value: unknown, allowed: readonly T[]): T {
  const found = allowed.find((name) => name === value);
  if (found === undefined) throw new TypeError(`${what}: got ${String(value)}, expected ${allowed.join(', ')}`);
  return found;
}

function seedsOf(list: string): number[] {
  if (!/^\d+(,\d+)*$/.test(list)) throw new TypeError(`--seeds: got ${list}, expected numbers like 1,2,3`);
  return list.split(',').map(Number);
}
