import type { Checkpoint } from '../checkpoints/checkpoint.js';
import type { Architecture } from '../checkpoints/write-config.js';
import type { TensorToStore } from '../checkpoints/stored-tensor.js';
import type { WrittenFormat } from '../checkpoints/write-model.js';
import type { LeftOut, WritePlan } from '../checkpoints/write-plan.js';
import type { WrittenTokenizer } from '../checkpoints/write-tokenizer.js';
import type { ModelConfig } from '../models/model-config.js';
import { formatBytes, formatCount, plural } from '../ui/format.js';
import { formatTable } from '../ui/table.js';
import { commandLine } from './command-line.js';

/** What `t4 convert` did; the keys are those of --json. */
export interface Conversion {
  readonly source: SourceSummary;
  readonly output: { readonly folder: string; readonly format: WrittenFormat; readonly architecture?: string };
  readonly tensors: number;
  readonly values: number;
  readonly bytes: number;
  /** Tensors that the source lacks and that are written as zeros. */
  readonly added: readonly string[];
  /** Tensors of the source that are not written, and why. */
  readonly left_out: readonly LeftOut[];
  /** What the class named in config.json has no place for. */
  readonly beside: readonly string[];
  readonly tokenizer: readonly string[];
  readonly notes: readonly string[];
  /** Of --verify: the largest difference between what the two models compute. */
  readonly difference?: number;
  readonly next: string;
}

interface SourceSummary {
  readonly name: string;
  readonly format: Checkpoint['format'];
  readonly family: ModelConfig['model_type'];
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly vocabulary: number;
  readonly tensors: number;
  readonly types: readonly string[];
}

/** What was found. `name` is the source as it was given. */
export function summariseSource(name: string, { format, config, tensors }: Checkpoint): SourceSummary {
  const [layers, hidden, heads] =
    config.model_type === 'distilbert'
      ? [config.n_layers, config.dim, config.n_heads]
      : [config.num_hidden_layers, config.hidden_size, config.num_attention_heads];
  const types = [...new Set([...tensors.values()].map(({ dtype }) => dtype))].sort();
  return {
    name,
    format,
    family: config.model_type,
    layers,
    hidden,
    heads,
    vocabulary: config.vocab_size,
    tensors: tensors.size,
    types,
  };
}

const formatNames = { fairseq: 'fairseq', huggingface: 'Hugging Face', tensorflow: 'TensorFlow' } as const;
const familyNames = {
  bert: 'BERT',
  albert: 'ALBERT',
  albert_zh: "ALBERT of albert_zh's first format",
  distilbert: 'DistilBERT',
  roberta: 'RoBERTa',
  electra: 'ELECTRA',
} as const;

/** "BERT of 12 layers, hidden size 768 ..." */
export function sourceText({
  format,
  family,
  layers,
  hidden,
  heads,
  vocabulary,
  tensors,
  types,
}: SourceSummary): string {
  return (
    `${formatNames[format]}: ${familyNames[family]}, ${plural(layers, 'layer')} of ${hidden} in ${plural(heads, 'head')}, ` +
    `vocabulary ${formatCount(vocabulary)}; ${plural(tensors, 'tensor')} of ${types.join(', ')}`
  );
}

const isWide = (type: string): boolean => /^(F32|DT_FLOAT|torch\.float32)$/.test(type);

const reasons: Readonly<Record<LeftOut['reason'], string>> = {
  tied: 'a copy of a tensor that is written',
  incomplete: 'of a head that is not whole',
  buffer: 'no weight, but numbers that every program makes anew',
  unknown: 'not of this model, as far as t4 knows it',
};

const parts: Readonly<Record<string, string>> = {
  pooler: 'the pooler',
  words: 'the head for masked words',
  pairs: 'the head for pairs of sentences',
  replaced: 'the head for replaced tokens',
  sequence: 'the classifier',
  token: 'the classifier',
  answers: 'the head for answers',
};

export interface Outcome {
  readonly source: SourceSummary;
  readonly plan: WritePlan;
  readonly tensors: readonly TensorToStore[];
  readonly added: readonly string[];
  /** Of Transformers' class; a TensorFlow checkpoint has none. */
  readonly architecture: Architecture | undefined;
  readonly tokenizer: WrittenTokenizer;
  readonly folder: string;
  readonly format: WrittenFormat;
  readonly difference: number | undefined;
}

export function conversionOf(outcome: Outcome): Conversion {
  const { source, plan, tensors, added, architecture, tokenizer, folder, format, difference } = outcome;
  const values = tensors.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  // A bare name would be taken for one too, but ./ says that it is a folder.
  const model = /^[./]/.test(folder) ? folder : `./${folder}`;
  return {
    source,
    output: { folder, format, ...(architecture === undefined ? {} : { architecture: architecture.name }) },
    tensors: tensors.length,
    values,
    bytes: 4 * values,
    added,
    left_out: plan.leftOut,
    beside: (architecture?.beside ?? []).map((part) => parts[part]!),
    tokenizer: tokenizer.files,
    notes: tokenizer.notes,
    ...(difference === undefined ? {} : { difference }),
    // Without a tokenizer there is nothing to train; looking at it is always possible.
    next:
      tokenizer.files.length === 0
        ? commandLine('inspect', model)
        : commandLine('finetune', '--task', 'demo', '--model', model),
  };
}

const mostNamed = 6;

function named(names: readonly string[]): string {
  const more = names.length > mostNamed ? ` and ${names.length - mostNamed} more` : '';
  return `${names.slice(0, mostNamed).join(', ')}${more}`;
}

/** The result as text. */
export function conversionText(conversion: Conversion): string {
  const { source, output, left_out: leftOut, beside } = conversion;
  const narrow = source.types.filter((type) => /F(16|64)|HALF|DOUBLE|float(16|64)/i.test(type) && !isWide(type));
  const widened = narrow.length === 0 ? 'float32' : `float32, converted from ${narrow.join(', ')}`;
  const rows: [string, string][] = [
    ['source', `${source.name} (${sourceText(source)})`],
    ['written', `${plural(conversion.tensors, 'tensor')}, ${formatBytes(conversion.bytes)} of ${widened}`],
  ];
  if (conversion.added.length > 0) {
    rows.push(['added', `${named(conversion.added)}: zeros, which is what the source means without`]);
  }
  for (const [reason, text] of Object.entries(reasons)) {
    const names = leftOut.filter((each) => each.reason === reason).map(({ name }) => name);
    if (names.length > 0) rows.push(['left out', `${named(names)}: ${text}`]);
  }
  if (beside.length > 0) {
    rows.push(['beside', `${beside.join(', ')}: written, but ${output.architecture!} has no place for it`]);
  }
  if (conversion.tokenizer.length > 0) rows.push(['tokenizer', conversion.tokenizer.join(', ')]);
  if (conversion.difference !== undefined) {
    rows.push(['verified', `the largest difference between the two is ${conversion.difference.toExponential(1)}`]);
  }
  const as = output.architecture === undefined ? 'a TensorFlow checkpoint' : `Hugging Face, ${output.architecture}`;
  rows.push(['result', `${output.folder} (${as})`], ['next', conversion.next]);
  return formatTable(rows, ['left', 'left']);
}
