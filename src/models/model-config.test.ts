import { expect } from 'chai';
import { maxTokens, modelConfigSchema, modelTypes, tokenTypes, withDropout } from './model-config.js';

/** The sizes have no defaults: a file that lacks one is damaged. */
const sizes = {
  vocab_size: 31,
  hidden_size: 8,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 11,
};

/** Transformers' defaults that every family of these has. */
const encoder = {
  hidden_act: 'gelu',
  hidden_dropout_prob: 0.1,
  attention_probs_dropout_prob: 0.1,
  max_position_embeddings: 512,
  type_vocab_size: 2,
  initializer_range: 0.02,
  layer_norm_eps: 1e-12,
};

interface Family {
  readonly type: string;
  /** All that a file must have. */
  readonly file: object;
  readonly defaults: object;
  readonly refused: readonly [key: string, value: unknown][];
  readonly accepted: readonly [key: string, value: unknown][];
  /** What withDropout 0.25 sets. */
  readonly dropouts: readonly string[];
}

const encoderRefused: [key: string, value: unknown][] = [
  ['hidden_size', undefined],
  ['num_hidden_layers', 0],
  ['num_attention_heads', 3],
  ['num_attention_heads', 0],
  ['intermediate_size', '11'],
  ['hidden_act', 'mish'],
  ['hidden_dropout_prob', 1],
  ['attention_probs_dropout_prob', -0.1],
  ['type_vocab_size', 0],
  ['layer_norm_eps', 0],
  ['position_embedding_type', 'relative_key'],
  ['position_embedding_type', 'relative_key_query'],
];

const families: readonly Family[] = [
  {
    type: 'albert',
    file: sizes,
    defaults: {
      ...sizes,
      ...encoder,
      hidden_act: 'gelu_new',
      hidden_dropout_prob: 0,
      attention_probs_dropout_prob: 0,
      classifier_dropout_prob: 0.1,
      embedding_size: 128,
      num_hidden_groups: 1,
      inner_group_num: 1,
    },
    refused: [
      ...encoderRefused,
      ['embedding_size', 0],
      ['num_hidden_groups', 1.5],
      ['inner_group_num', 0],
      ['classifier_dropout_prob', 1],
    ],
    accepted: [
      ['hidden_act', 'relu'],
      ['embedding_size', 8],
      ['num_hidden_groups', 3],
      ['net_structure_type', 0],
      ['down_scale_factor', 1],
    ],
    dropouts: ['hidden_dropout_prob', 'attention_probs_dropout_prob', 'classifier_dropout_prob'],
  },
  {
    type: 'distilbert',
    file: { vocab_size: 31 },
    defaults: {
      vocab_size: 31,
      dim: 768,
      n_layers: 6,
      n_heads: 12,
      hidden_dim: 3072,
      activation: 'gelu',
      dropout: 0.1,
      attention_dropout: 0.1,
      seq_classif_dropout: 0.2,
      sinusoidal_pos_embds: false,
      max_position_embeddings: 512,
      initializer_range: 0.02,
    },
    refused: [
      ['dim', 100],
      ['n_layers', 0],
      ['n_heads', 0],
      ['hidden_dim', null],
      ['activation', 'mish'],
      ['dropout', 1],
      ['attention_dropout', -1],
      ['seq_classif_dropout', '0.2'],
      ['sinusoidal_pos_embds', 1],
    ],
    accepted: [
      ['activation', 'relu'],
      ['sinusoidal_pos_embds', true],
      ['qa_dropout', 0.1],
    ],
    dropouts: ['dropout', 'attention_dropout', 'seq_classif_dropout'],
  },
  {
    type: 'roberta',
    file: sizes,
    defaults: { ...sizes, ...encoder, pad_token_id: 1 },
    refused: [...encoderRefused, ['classifier_dropout', 1], ['pad_token_id', null], ['max_position_embeddings', 2]],
    accepted: [
      ['classifier_dropout', null],
      ['type_vocab_size', 1],
      ['layer_norm_eps', 1e-5],
      ['max_position_embeddings', 3],
      ['bos_token_id', 0],
    ],
    dropouts: ['hidden_dropout_prob', 'attention_probs_dropout_prob', 'classifier_dropout'],
  },
  {
    type: 'electra',
    file: sizes,
    defaults: { ...sizes, ...encoder, embedding_size: 128 },
    refused: [...encoderRefused, ['embedding_size', 0], ['classifier_dropout', 1]],
    accepted: [
      ['classifier_dropout', null],
      ['embedding_size', 8],
      ['summary_activation', 'gelu'],
    ],
    dropouts: ['hidden_dropout_prob', 'attention_probs_dropout_prob', 'classifier_dropout'],
  },
];

/** What no family computes. */
const refusedByAll: readonly [key: string, value: unknown][] = [
  ['vocab_size', undefined],
  ['max_position_embeddings', 0],
  ['initializer_range', 0],
  ['pad_token_id', -1],
  ['tie_word_embeddings', 'yes'],
  ['is_decoder', true],
  ['add_cross_attention', true],
  ['pruned_heads', { 1: [0, 2] }],
  ['problem_type', 'regression'],
  ['quantization_config', { bits: 4 }],
  ['id2label', { 0: 1 }],
];

const acceptedByAll: readonly [key: string, value: unknown][] = [
  ['pruned_heads', {}],
  ['tie_word_embeddings', false],
  ['problem_type', null],
  ['is_decoder', false],
  ['id2label', { 0: 'negative', 1: 'positive' }],
  ['architectures', ['SomeModel']],
];

function problemsOf(file: unknown): string[] {
  const result = modelConfigSchema.safeParse(file);
  return result.success ? [] : result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
}

for (const { type, file, defaults, refused, accepted, dropouts } of families) {
  describe(`the configuration of ${type}`, () => {
    const given = { model_type: type, ...file };

    it("has Transformers' defaults where keys are absent", () => {
      expect(modelConfigSchema.parse(given)).to.deep.equal({ model_type: type, ...defaults });
    });

    for (const [key, value] of [...refusedByAll, ...refused]) {
      it(`refuses ${key} ${JSON.stringify(value)}, naming the key`, () => {
        const keys = problemsOf({ ...given, [key]: value }).map((problem) => problem.split(/[.:]/)[0]);
        // A size that the heads do not divide is reported at the size.
        expect([...new Set(keys)]).to.deep.equal([key === 'num_attention_heads' && value !== 0 ? 'hidden_size' : key]);
      });
    }

    for (const [key, value] of [...acceptedByAll, ...accepted]) {
      it(`takes ${key} ${JSON.stringify(value)}`, () => {
        expect(problemsOf({ ...given, [key]: value })).to.deep.equal([]);
      });
    }

    it('with another dropout has it everywhere, and nothing else changed', () => {
      const config = modelConfigSchema.parse(given);
      const changed = Object.fromEntries(dropouts.map((key) => [key, 0.25]));
      expect(withDropout(config, 0.25)).to.deep.equal({ ...config, ...changed });
    });
  });
}

describe('the configuration of any family', () => {
  it("is BERT's where the file is older than model_type", () => {
    expect(modelConfigSchema.parse(sizes).model_type).to.equal('bert');
  });

  for (const type of ['gpt2', 'Bert', '', 5, null]) {
    it(`is refused for model_type ${JSON.stringify(type)}, by one message with the types there are`, () => {
      const problems = problemsOf({ ...sizes, model_type: type });
      expect(problems).to.deep.equal([`model_type: expected one of ${modelTypes.join(', ')}`]);
    });
  }

  it('has as many tokens as positions; of RoBERTa those up to the padding stand for none', () => {
    expect(maxTokens(modelConfigSchema.parse(sizes))).to.equal(512);
    const roberta = { ...sizes, model_type: 'roberta', max_position_embeddings: 514 };
    expect(maxTokens(modelConfigSchema.parse(roberta))).to.equal(512);
    expect(maxTokens(modelConfigSchema.parse({ ...roberta, pad_token_id: 0 }))).to.equal(513);
  });

  it('has as many token types as rows in their table; DistilBERT has none', () => {
    expect(tokenTypes(modelConfigSchema.parse({ ...sizes, type_vocab_size: 3 }))).to.equal(3);
    expect(tokenTypes(modelConfigSchema.parse({ model_type: 'distilbert', vocab_size: 31 }))).to.equal(0);
  });
});
