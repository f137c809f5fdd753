import { expect } from 'chai';
import { UserError } from '../errors.js';
import { modelConfigSchema } from '../models/model-config.js';
import { fieldTokenClassifier } from '../models/network.js';
import { frozenVariables, rateFactorsOf } from './variable-rates.js';

const config = modelConfigSchema.parse({
  vocab_size: 31,
  hidden_size: 8,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 11,
});
const { variables } = fieldTokenClassifier(config, 3, undefined);

describe('learning rates of variables', () => {
  it('fall by one factor from layer to layer, as in ELECTRA', () => {
    const factors = rateFactorsOf(variables, { layer_decay: 0.5, rate_factors: undefined });
    const of = (name: string): number | undefined => factors.get(name);
    expect(of('bert/embeddings/word_embeddings')).to.equal(0.5 ** 4);
    expect(of('bert/embeddings/LayerNorm/beta')).to.equal(0.5 ** 4);
    expect(of('bert/encoder/layer_0/output/dense/kernel')).to.equal(0.5 ** 3);
    expect(of('bert/encoder/layer_1/attention/self/key/bias')).to.equal(0.5 ** 2);
    expect([of('classifier/kernel'), of('crf/transitions')]).to.deep.equal([undefined, undefined]);
  });

  it('of ALBERT have one layer, whose weights all layers share', () => {
    const part = 'encoder' as const;
    const names = ['bert/embeddings/word_embeddings', 'bert/encoder/layer_shared/output/dense/kernel'];
    const specs = [
      ...names.map((name) => ({ name, part })),
      { name: 'bert/pooler/dense/bias', part: 'pooler' as const },
    ];
    const factors = rateFactorsOf(specs, { layer_decay: 0.5, rate_factors: undefined });
    expect([...factors]).to.deep.equal([[names[0], 0.125], [names[1], 0.25]]); // prettier-ignore
  });

  it('are multiplied by the factors of all patterns that fit', () => {
    const rate_factors = { 'crf/*': 100, '*/kernel': 2, 'classifier/*': 3 };
    const factors = rateFactorsOf(variables, { layer_decay: 1, rate_factors });
    expect(factors.get('crf/transitions')).to.equal(100);
    expect(factors.get('classifier/kernel')).to.equal(6);
    expect(factors.get('classifier/bias')).to.equal(3);
    expect(factors.has('bert/embeddings/word_embeddings')).to.equal(false);
  });

  it('are all 1 where nothing is asked for', () => {
    expect(rateFactorsOf(variables, { layer_decay: 1, rate_factors: undefined }).size).to.equal(0);
    expect(frozenVariables(variables, { freeze: undefined }).size).to.equal(0);
  });

  it('do not exist where variables are frozen', () => {
    const frozen = frozenVariables(variables, { freeze: ['*/embeddings/*', 'bert/encoder/layer_1/output/dense/bias'] });
    expect([...frozen]).to.deep.equal([
      ...variables.map(({ name }) => name).filter((name) => name.startsWith('bert/embeddings/')),
      'bert/encoder/layer_1/output/dense/bias',
    ]);
  });

  it('are refused for names that no variable has, and where nothing is left', () => {
    const complaint = (freeze: string[]): string => {
      try {
        frozenVariables(variables, { freeze });
        return '';
      } catch (error) {
        return error instanceof UserError ? `${error.kind}: ${error.message}` : '';
      }
    };
    expect(complaint(['bert/embeddings/word_embedding'])).to.equal(
      'usage: training.freeze: got "bert/embeddings/word_embedding", expected a variable\'s name (did you mean ' +
        'bert/embeddings/word_embeddings?), or a pattern with * that fits some',
    );
    expect(complaint(['(bert.*'])).to.contain('usage: training.freeze: got "(bert.*"');
    expect(complaint(['*'])).to.contain('nothing to train');
    expect(() => rateFactorsOf(variables, { layer_decay: 1, rate_factors: { 'x/*': 2 } })).to.throw(UserError);
  });
});
