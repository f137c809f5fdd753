import type { ModelConfig } from '../models/model-config.js';
import type { StoredAs } from './checkpoint.js';

/**
 * Transformers' name of every variable of a family and its heads, by our name. Long and dull, so that either name can be
 * searched for.
 */
export function huggingFaceNames(config: ModelConfig): Map<string, StoredAs> {
  return new Map([...familyNames(config), ...crfNames]);
}

/** As pytorch-crf calls them; no class of Transformers has them. */
const crfNames = ['transitions', 'start_transitions', 'end_transitions'].map((name): Entry => [
  `crf/${name}`,
  { names: [`crf.${name}`], transposed: false },
]);

function familyNames(config: ModelConfig): Map<string, StoredAs> {
  const tied = config.tie_word_embeddings !== false;
  switch (config.model_type) {
    case 'bert':
      return new Map([...bertNames('bert', 'bert', config.num_hidden_layers), ...bertPooler, ...bertHeads(tied)]);
    case 'roberta':
      return new Map([
        ...bertNames('bert', 'roberta', config.num_hidden_layers),
        ...robertaPooler,
        ...robertaHeads(tied),
      ]);
    case 'electra':
      return new Map([...bertNames('electra', 'electra', config.num_hidden_layers), ...electraNames]);
    case 'albert':
      return new Map(albertNames(config.num_hidden_groups, config.inner_group_num, tied));
    case 'albert_zh':
      return new Map(albertZhNames());
    case 'distilbert':
      return new Map(distilbertNames(config.n_layers));
  }
}

type Entry = [variable: string, stored: StoredAs];

/** Of the encoder: a file of the encoder alone leaves out the model's prefix. */
const inside =
  (prefix: string) =>
  (name: string, transposed = false): StoredAs => ({
    names: [...spellings(`${prefix}.${name}`), ...spellings(name)],
    transposed,
  });

/** Of a head. */
const head = (name: string, transposed = false): StoredAs => ({ names: spellings(name), transposed });

/** LayerNorm's parameters were called gamma and beta before 2019. */
function spellings(name: string): string[] {
  const old = name.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta');
  return old === name ? [name] : [name, old];
}

/** The kernel and bias of a dense layer. */
const dense = (ours: string, theirs: string, stored: (name: string, transposed?: boolean) => StoredAs): Entry[] => [
  [`${ours}/kernel`, stored(`${theirs}.weight`, true)],
  [`${ours}/bias`, stored(`${theirs}.bias`)],
];

/** The gamma and beta of a LayerNorm. */
const norm = (ours: string, theirs: string, stored: (name: string) => StoredAs): Entry[] => [
  [`${ours}/gamma`, stored(`${theirs}.weight`)],
  [`${ours}/beta`, stored(`${theirs}.bias`)],
];

/** The vocabulary's bias is stored twice. Where the two are not tied, it is the decoder's that Transformers computes with. */
function wordBias(theirs: string, tied: boolean): Entry {
  const [own, decoders] = [`${theirs}.bias`, `${theirs}.decoder.bias`];
  return ['cls/predictions/output_bias', { names: tied ? [own, decoders] : [decoders, own], transposed: false }];
}

const segmentNames = (ours: string, stored: (name: string) => StoredAs): Entry => [
  `${ours}/token_type_embeddings`,
  stored('embeddings.token_type_embeddings.weight'),
];

function embeddingNames(ours: string, stored: (name: string) => StoredAs): Entry[] {
  return [
    [`${ours}/word_embeddings`, stored('embeddings.word_embeddings.weight')],
    [`${ours}/position_embeddings`, stored('embeddings.position_embeddings.weight')],
    ...norm(`${ours}/LayerNorm`, 'embeddings.LayerNorm', stored),
  ];
}

/** The encoder of BERT, and of RoBERTa and ELECTRA, which have the same names behind their prefix. */
function bertNames(scope: 'bert' | 'electra', prefix: string, layers: number): Entry[] {
  const stored = inside(prefix);
  const layer = (index: number): Entry[] => {
    const [ours, theirs] = [`${scope}/encoder/layer_${index}`, `encoder.layer.${index}`];
    return [
      ...dense(`${ours}/attention/self/query`, `${theirs}.attention.self.query`, stored),
      ...dense(`${ours}/attention/self/key`, `${theirs}.attention.self.key`, stored),
      ...dense(`${ours}/attention/self/value`, `${theirs}.attention.self.value`, stored),
      ...dense(`${ours}/attention/output/dense`, `${theirs}.attention.output.dense`, stored),
      ...norm(`${ours}/attention/output/LayerNorm`, `${theirs}.attention.output.LayerNorm`, stored),
      ...dense(`${ours}/intermediate/dense`, `${theirs}.intermediate.dense`, stored),
      ...dense(`${ours}/output/dense`, `${theirs}.output.dense`, stored),
      ...norm(`${ours}/output/LayerNorm`, `${theirs}.output.LayerNorm`, stored),
    ];
  };
  return [
    ...embeddingNames(`${scope}/embeddings`, stored),
    segmentNames(`${scope}/embeddings`, stored),
    ...Array.from({ length: layers }, (_, index) => layer(index)).flat(),
  ];
}

const bertPooler: Entry[] = dense('bert/pooler/dense', 'pooler.dense', inside('bert'));
const robertaPooler: Entry[] = dense('bert/pooler/dense', 'pooler.dense', inside('roberta'));

const bertHeads = (tied: boolean): Entry[] => [
  ...dense('classifier', 'classifier', head),
  ...dense('cls/predictions/transform/dense', 'cls.predictions.transform.dense', head),
  ...norm('cls/predictions/transform/LayerNorm', 'cls.predictions.transform.LayerNorm', head),
  wordBias('cls.predictions', tied),
  ['cls/predictions/decoder/output_weights', head('cls.predictions.decoder.weight')],
];

const robertaHeads = (tied: boolean): Entry[] => [
  ...dense('classifier', 'classifier', head),
  ...dense('classifier/dense', 'classifier.dense', head),
  ...dense('classifier/out_proj', 'classifier.out_proj', head),
  ...dense('cls/predictions/transform/dense', 'lm_head.dense', head),
  ...norm('cls/predictions/transform/LayerNorm', 'lm_head.layer_norm', head),
  wordBias('lm_head', tied),
  ['cls/predictions/decoder/output_weights', head('lm_head.decoder.weight')],
];

const electraNames: Entry[] = [
  ...dense('electra/embeddings_project', 'embeddings_project', inside('electra')),
  ...dense('classifier', 'classifier', head),
  ...dense('classifier/dense', 'classifier.dense', head),
  ...dense('classifier/out_proj', 'classifier.out_proj', head),
  ...dense('generator_predictions/dense', 'generator_predictions.dense', head),
  ...norm('generator_predictions/LayerNorm', 'generator_predictions.LayerNorm', head),
  ['generator_predictions/output_bias', head('generator_lm_head.bias')],
  ['cls/predictions/decoder/output_weights', head('generator_lm_head.weight')],
];

function albertNames(groups: number, inner: number, tied: boolean): Entry[] {
  const stored = inside('albert');
  const block = (group: number, index: number): Entry[] => {
    const ours = `bert/encoder/transformer/group_${group}/inner_group_${index}`;
    const theirs = `encoder.albert_layer_groups.${group}.albert_layers.${index}`;
    return [
      ...dense(`${ours}/attention_1/self/query`, `${theirs}.attention.query`, stored),
      ...dense(`${ours}/attention_1/self/key`, `${theirs}.attention.key`, stored),
      ...dense(`${ours}/attention_1/self/value`, `${theirs}.attention.value`, stored),
      ...dense(`${ours}/attention_1/output/dense`, `${theirs}.attention.dense`, stored),
      ...norm(`${ours}/LayerNorm`, `${theirs}.attention.LayerNorm`, stored),
      ...dense(`${ours}/ffn_1/intermediate/dense`, `${theirs}.ffn`, stored),
      ...dense(`${ours}/ffn_1/intermediate/output/dense`, `${theirs}.ffn_output`, stored),
      ...norm(`${ours}/LayerNorm_1`, `${theirs}.full_layer_layer_norm`, stored),
    ];
  };
  return [
    ...embeddingNames('bert/embeddings', stored),
    segmentNames('bert/embeddings', stored),
    ...dense('bert/encoder/embedding_hidden_mapping_in', 'encoder.embedding_hidden_mapping_in', stored),
    ...Array.from({ length: groups * inner }, (_, i) => block(Math.floor(i / inner), i % inner)).flat(),
    ...dense('bert/pooler/dense', 'pooler', stored),
    ...dense('classifier', 'classifier', head),
    ...dense('cls/predictions/transform/dense', 'predictions.dense', head),
    ...norm('cls/predictions/transform/LayerNorm', 'predictions.LayerNorm', head),
    wordBias('predictions', tied),
    ['cls/predictions/decoder/output_weights', head('predictions.decoder.weight')],
  ];
}

/** Transformers has no such model: t4 keeps the names of its TensorFlow checkpoints, and kernels as they are there. */
function albertZhNames(): Entry[] {
  const [embeddings, layer] = ['bert/embeddings', 'bert/encoder/layer_shared'];
  const names = [
    ...['word_embeddings', 'word_embeddings_2', 'position_embeddings', 'token_type_embeddings'].map(
      (table) => `${embeddings}/${table}`,
    ),
    ...['gamma', 'beta'].flatMap((parameter) =>
      [embeddings, `${layer}/attention/output`, `${layer}/output`, 'cls/predictions/transform'].map(
        (scope) => `${scope}/LayerNorm/${parameter}`,
      ),
    ),
    ...['kernel', 'bias'].flatMap((parameter) =>
      [
        `${layer}/attention/self/query`,
        `${layer}/attention/self/key`,
        `${layer}/attention/self/value`,
        `${layer}/attention/output/dense`,
        `${layer}/intermediate/dense`,
        `${layer}/output/dense`,
        'bert/pooler/dense',
        'classifier',
        'cls/predictions/transform/dense',
      ].map((scope) => `${scope}/${parameter}`),
    ),
    'cls/predictions/output_bias',
  ];
  return names.map((name) => [name, { names: [name], transposed: false }]);
}

function distilbertNames(layers: number): Entry[] {
  const stored = inside('distilbert');
  const layer = (index: number): Entry[] => {
    const [ours, theirs] = [`distilbert/transformer/layer_${index}`, `transformer.layer.${index}`];
    return [
      ...dense(`${ours}/attention/q_lin`, `${theirs}.attention.q_lin`, stored),
      ...dense(`${ours}/attention/k_lin`, `${theirs}.attention.k_lin`, stored),
      ...dense(`${ours}/attention/v_lin`, `${theirs}.attention.v_lin`, stored),
      ...dense(`${ours}/attention/out_lin`, `${theirs}.attention.out_lin`, stored),
      ...norm(`${ours}/sa_layer_norm`, `${theirs}.sa_layer_norm`, stored),
      ...dense(`${ours}/ffn/lin1`, `${theirs}.ffn.lin1`, stored),
      ...dense(`${ours}/ffn/lin2`, `${theirs}.ffn.lin2`, stored),
      ...norm(`${ours}/output_layer_norm`, `${theirs}.output_layer_norm`, stored),
    ];
  };
  return [
    ...embeddingNames('distilbert/embeddings', stored),
    ...Array.from({ length: layers }, (_, index) => layer(index)).flat(),
    ...dense('pre_classifier', 'pre_classifier', head),
    ...dense('classifier', 'classifier', head),
    ...dense('cls/predictions/transform/dense', 'vocab_transform', head),
    ...norm('cls/predictions/transform/LayerNorm', 'vocab_layer_norm', head),
    ['cls/predictions/output_bias', head('vocab_projector.bias')],
    ['cls/predictions/decoder/output_weights', head('vocab_projector.weight')],
  ];
}
