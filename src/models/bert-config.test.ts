import { expect } from 'chai';
import { bertConfigSchema } from './bert-config.js';
import { withDropout } from './model-config.js';

/** BERT-base's own file, with keys that Transformers writes and that change nothing here. */
const file = {
  architectures: ['BertForMaskedLM'],
  attention_probs_dropout_prob: 0.1,
  directionality: 'bidi',
  gradient_checkpointing: false,
  hidden_act: 'gelu',
  hidden_dropout_prob: 0.1,
  hidden_size: 768,
  initializer_range: 0.02,
  intermediate_size: 3072,
  layer_norm_eps: 1e-12,
  max_position_embeddings: 512,
  model_type: 'bert',
  num_attention_heads: 12,
  num_hidden_layers: 12,
  pad_token_id: 0,
  pooler_fc_size: 768,
  position_embedding_type: 'absolute',
  transformers_version: '4.6.0.dev0',
  type_vocab_size: 2,
  use_cache: true,
  vocab_size: 30522,
};

function problemsOf(change: object): string[] {
  const result = bertConfigSchema.safeParse({ ...file, ...change });
  return result.success ? [] : result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
}

describe('the configuration of BERT', () => {
  it("is Hugging Face's file, extra keys included", () => {
    expect(problemsOf({})).to.deep.equal([]);
    expect(bertConfigSchema.parse(file)).to.include({ hidden_act: 'gelu', layer_norm_eps: 1e-12, vocab_size: 30522 });
  });

  it("has Transformers' defaults where keys are absent", () => {
    const { vocab_size, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size } = file;
    const sizes = { vocab_size, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size };
    expect(bertConfigSchema.parse(sizes)).to.deep.equal({
      ...sizes,
      model_type: 'bert',
      hidden_act: 'gelu',
      hidden_dropout_prob: 0.1,
      attention_probs_dropout_prob: 0.1,
      max_position_embeddings: 512,
      type_vocab_size: 2,
      initializer_range: 0.02,
      layer_norm_eps: 1e-12,
    });
  });

  const refused: [key: string, value: unknown][] = [
    ['model_type', 'roberta'],
    ['vocab_size', undefined],
    ['hidden_size', 0],
    ['num_hidden_layers', 1.5],
    ['num_attention_heads', 7],
    ['intermediate_size', '3072'],
    ['hidden_act', 'mish'],
    ['hidden_dropout_prob', 1],
    ['attention_probs_dropout_prob', -0.1],
    ['classifier_dropout', 1],
    ['max_position_embeddings', 0],
    ['type_vocab_size', -1],
    ['initializer_range', 0],
    ['layer_norm_eps', 0],
    ['pad_token_id', -1],
    ['position_embedding_type', 'relative_key'],
    ['is_decoder', true],
    ['add_cross_attention', true],
    ['embedding_size', 128],
    ['pruned_heads', { 1: [0, 2] }],
    ['problem_type', 'regression'],
    ['quantization_config', { bits: 4 }],
    ['id2label', { 0: 1 }],
  ];
  for (const [key, value] of refused) {
    it(`refuses ${key} ${JSON.stringify(value)}, naming the key`, () => {
      const problems = problemsOf({ [key]: value });
      expect(problems).to.have.length(1);
      expect(problems[0]).to.include(key);
    });
  }

  const accepted: [key: string, value: unknown][] = [
    ['classifier_dropout', null],
    ['pruned_heads', {}],
    ['position_embedding_type', undefined],
    ['embedding_size', 768],
    ['problem_type', null],
    ['hidden_dropout_prob', 0],
    ['id2label', { 0: 'negative', 1: 'positive' }],
  ];
  for (const [key, value] of accepted) {
    it(`takes ${key} ${JSON.stringify(value)}`, () => {
      expect(problemsOf({ [key]: value })).to.deep.equal([]);
    });
  }

  it('with another dropout has it everywhere, and nothing else changed', () => {
    const config = bertConfigSchema.parse({ ...file, classifier_dropout: 0.3 });
    expect(withDropout(config, 0.25)).to.deep.equal({
      ...config,
      hidden_dropout_prob: 0.25,
      attention_probs_dropout_prob: 0.25,
      classifier_dropout: 0.25,
    });
  });
});
