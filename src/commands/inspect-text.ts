import type { ConfigDescription } from '../checkpoints/describe-config.js';
import type { RunDescription, Scores } from '../checkpoints/describe-run.js';
import type { PortDescription, SavedModelDescription } from '../checkpoints/describe-saved-model.js';
import { parts, type HeadKind, type ParameterCounts } from '../checkpoints/describe-tensors.js';
import type { TokenizerDescription } from '../checkpoints/describe-tokenizer.js';
import type { Description, ModelDescription } from '../checkpoints/describe.js';
import { printable } from '../checkpoints/file-bytes.js';
import { formatBytes, formatCount, plural } from '../ui/format.js';
import { formatTable, type Align } from '../ui/table.js';

/** A description as a person reads it: one paragraph a subject, each a heading and indented lines. */

/** @param most how many entries of a list are shown */
export function descriptionText(source: string, { run, export: saved, model }: Description, most: number): string {
  const paragraphs = [
    ...(run === undefined ? [] : [runText(source, run)]),
    ...(saved === undefined ? [] : savedModelText(source, saved, most)),
    ...(model === undefined ? [] : modelText(model, most)),
  ];
  return paragraphs.join('\n\n');
}

type Row = readonly [label: string, ...cells: string[]];

/** A heading, and rows under it; rows without a value are left out by their makers. */
function paragraph(heading: string, rows: readonly Row[], align: readonly Align[] = ['left', 'left']): string {
  if (rows.length === 0) return heading;
  return [
    heading,
    ...formatTable(rows, align)
      .split('\n')
      .map((line) => `  ${line}`),
  ].join('\n');
}

/** A row, where there is something to show. */
const row = (label: string, value: string | number | undefined): Row[] =>
  value === undefined ? [] : [[label, typeof value === 'number' ? formatCount(value) : value]];

function runText(source: string, run: RunDescription): string {
  const { best, test, checkpoints } = run;
  return paragraph(`${source}: a run of t4 finetune`, [
    ...row('task', run.task === undefined ? undefined : printable(run.task)),
    ...row('started from', run.source === undefined ? undefined : printable(run.source)),
    ...(run.finished ? [] : row('state', 'not finished: no metrics.json')),
    ...(best === undefined
      ? []
      : row('best', `epoch ${Number(best.epoch.toFixed(2))}, step ${best.step}${scoresText(best.dev, ': dev ')}`)),
    ...row('test', test === undefined ? undefined : scoresText(test, '')),
    ...row('checkpoints', checkpoints.length === 0 ? 'none' : `step ${checkpoints.join(', ')}`),
  ]);
}

function scoresText(scores: Scores | undefined, before: string): string {
  const entries = Object.entries(scores ?? {}).map(
    ([name, value]) => `${printable(name).replaceAll('_', ' ')} ${value.toFixed(4)}`,
  );
  return entries.length === 0 ? '' : `${before}${entries.join(', ')}`;
}

function savedModelText(source: string, saved: SavedModelDescription, most: number): string[] {
  const shown = saved.signatures.slice(0, most);
  return [
    paragraph(`${source}: a SavedModel for TensorFlow Serving`, [
      ...row('graph', saved.path),
      ...row('versions', saved.versions.length === 0 ? undefined : saved.versions.join(', ')),
      ...row('tags', saved.tags.join(', ') || 'none'),
      ...row('TensorFlow', saved.tensorflow_version || undefined),
      ...row('nodes', saved.nodes),
    ]),
    ...shown.map(({ name, inputs, outputs }) =>
      paragraph(
        `signature ${name}`,
        [...inputs.map((port) => portRow('in', port)), ...outputs.map((port) => portRow('out', port))],
        ['left', 'left', 'left', 'left'],
      ),
    ),
    ...(saved.signatures.length > most ? [`and ${saved.signatures.length - most} more signatures`] : []),
  ];
}

const portRow = (way: string, { name, dtype, shape }: PortDescription): Row => [
  way,
  name,
  dtype,
  shape === null ? 'any shape' : `[${shape.map((size) => (size === -1 ? '?' : String(size))).join(', ')}]`,
];

function modelText(model: ModelDescription, most: number): string[] {
  const { config, parameters, tokenizer, labels, tensors } = model;
  return [
    paragraph(`${model.path}: ${formats[model.format ?? 'none']}`, summaryRows(model)),
    ...(model.problems.length === 0 ? [] : [['problems', ...model.problems.map(indented)].join('\n')]),
    ...(config === undefined ? [] : [paragraph(`configuration${fileNote(config.file)}`, configRows(config))]),
    ...(model.further_config === undefined
      ? []
      : [
          paragraph(
            'keys of the configuration',
            Object.entries(model.further_config).map(([k, v]) => [k, String(v)]),
          ),
        ]),
    ...(parameters === undefined ? [] : [parametersText(parameters)]),
    ...(tokenizer === undefined ? ['tokenizer: none'] : [tokenizerText(tokenizer)]),
    ...(labels === undefined ? [] : [labelsText(labels, most)]),
    ...(model.unused === undefined || model.unused.length === 0 ? [] : [unusedText(model.unused, most)]),
    ...(tensors.length === 0 ? [] : [tensorsText(tensors, most)]),
  ];
}

const formats: Readonly<Record<NonNullable<ModelDescription['format']> | 'none', string>> = {
  huggingface: "a model in Hugging Face's form",
  tensorflow: 'a TensorFlow checkpoint',
  fairseq: 'a fairseq model',
  safetensors: 'a file of tensors (safetensors)',
  pytorch: 'a file of tensors (PyTorch)',
  'saved-model': 'the exported weights',
  none: 'a configuration or a vocabulary without weights',
};

const fileNote = (file: string | undefined): string => (file === undefined ? '' : ` (${printable(file)})`);

/** An error's message may have lines of its own. */
const indented = (text: string): string => `  ${text.replaceAll('\n', '\n  ')}`;

const families: Readonly<Record<string, string>> = {
  bert: 'BERT',
  albert: 'ALBERT',
  albert_zh: "ALBERT (albert_zh's first format)",
  distilbert: 'DistilBERT',
  roberta: 'RoBERTa',
  electra: 'ELECTRA',
};

const headNames: Readonly<Record<HeadKind, string>> = {
  'sequence-classification': 'labels of texts',
  'token-classification': 'labels of tokens',
  'multiple-choice': 'multiple choice',
  'question-answering': 'answers in a text',
  'masked-language-model': 'masked words',
  'next-sentence': 'the next sentence',
  'sentence-order': 'the order of sentences',
  'replaced-token-detection': 'replaced tokens',
};

function summaryRows(model: ModelDescription): Row[] {
  const { files, format, model_type: type } = model;
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const names = files.length <= 3 ? files.map(({ name }) => printable(name)).join(', ') : plural(files.length, 'file');
  const trainable = model.trainable
    ? 'yes'
    : format === 'saved-model'
      ? 'no: it is made to be served'
      : 'no, see below';
  return [
    ...row('weights', files.length === 0 ? undefined : `${names}: ${formatBytes(bytes)}`),
    ...row('family', type === undefined ? undefined : (families[type] ?? type)),
    ...row('architecture', model.architecture),
    ...row('heads', model.heads.map((head) => headNames[head]).join(', ') || 'none'),
    ...row('t4 can train it', trainable),
  ];
}

function configRows(config: ConfigDescription): Row[] {
  const { heads, hidden_size: hidden, dropout } = config;
  const each = heads === undefined || hidden === undefined ? '' : ` of ${formatCount(hidden / heads)}`;
  const rates = Object.entries(dropout).flatMap(([name, rate]) => (rate === undefined ? [] : [`${name} ${rate}`]));
  return [
    ...row('layers', config.layers),
    ...row('groups of layers', config.layer_groups),
    ...row('hidden size', hidden),
    ...row('embedding size', config.embedding_size),
    ...row('heads', heads === undefined ? undefined : `${formatCount(heads)}${each}`),
    ...row('intermediate size', config.intermediate_size),
    ...row('vocabulary', config.vocabulary),
    ...row('positions', config.positions),
    ...row('token types', config.token_types),
    ...row('activation', config.activation),
    ...row('LayerNorm epsilon', config.layer_norm_epsilon === undefined ? undefined : `${config.layer_norm_epsilon}`),
    ...row('dropout', rates.join(', ') || undefined),
  ];
}

function parametersText({ total, parts: counts }: ParameterCounts): string {
  const rows = parts.flatMap((part): Row[] => {
    const count = counts[part];
    return count === undefined ? [] : [[part, formatCount(count)]];
  });
  return paragraph(`parameters: ${formatCount(total)}`, rows, ['left', 'right']);
}

function tokenizerText(tokenizer: TokenizerDescription): string {
  const special = Object.values(tokenizer.special_tokens).map(({ token, id }) => `${printable(token)} ${id}`);
  const casing = { true: 'yes', false: 'no', null: 'cannot be told: no Latin letters' };
  return paragraph(`tokenizer (${tokenizer.files.join(', ')})`, [
    ...row('kind', printable(tokenizer.kind)),
    ...row('vocabulary', tokenizer.vocabulary),
    ...row('special tokens', special.join(', ')),
    ...row('lower-cases', casing[`${tokenizer.lower_cases}`]),
    ...tokenizer.notes.map((note): Row => ['note', note]),
  ]);
}

function labelsText(labels: readonly string[], most: number): string {
  const rows = labels.slice(0, most).map((label, id): Row => [String(id), printable(label)]);
  return paragraph(`labels: ${labels.length}`, [...rows, ...more(labels, most)], ['right', 'left']);
}

function unusedText(names: readonly string[], most: number): string {
  const rows = names.slice(0, most).map((name): Row => [printable(name)]);
  return paragraph(`tensors that t4 has no use for: ${formatCount(names.length)}`, [...rows, ...more(names, most)]);
}

function tensorsText(tensors: ModelDescription['tensors'], most: number): string {
  const rows = tensors.slice(0, most).map(({ name, dtype, shape }): Row => [name, dtype, `[${shape.join(', ')}]`]);
  const cut = tensors.length > most ? [`  and ${formatCount(tensors.length - most)} more: --tensors shows all`] : [];
  return [paragraph(`tensors: ${formatCount(tensors.length)}`, rows, ['left', 'left', 'left']), ...cut].join('\n');
}

const more = (list: readonly unknown[], most: number): Row[] =>
  list.length > most ? [['...', `and ${formatCount(list.length - most)} more`]] : [];
