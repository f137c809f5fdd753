import { expect } from 'chai';
import { modelConfigSchema } from '../models/model-config.js';
import { crfVariables } from '../models/crf.js';
import { modelOf } from '../models/network.js';
import { huggingFaceNames } from './huggingface-names.js';

const sizes = {
  vocab_size: 31,
  hidden_size: 8,
  num_hidden_layers: 4,
  num_attention_heads: 2,
  intermediate_size: 11,
  embedding_size: 6,
  num_hidden_groups: 2,
  inner_group_num: 2,
  dim: 8,
  n_layers: 3,
  n_heads: 2,
  hidden_dim: 11,
  tie_word_embeddings: false,
};

describe('names of Hugging Face checkpoints', () => {
  for (const type of ['bert', 'roberta', 'electra', 'albert', 'distilbert']) {
    const fitting = type === 'bert' ? { ...sizes, embedding_size: undefined } : sizes;
    const config = modelConfigSchema.parse({ ...fitting, model_type: type });
    const names = huggingFaceNames(config);
    const model = modelOf(config);
    const specs = [
      ...model.variables,
      ...model.poolerVariables,
      ...model.classifier(5).variables,
      ...model.tokenClassifier(5).variables,
      ...model.languageModel.variables,
      ...crfVariables(5),
    ];

    it(`of ${type} cover every variable of the family and its heads, and nothing else`, () => {
      const declared = new Set(specs.map(({ name }) => name));
      expect([...names.keys()].sort()).to.deep.equal([...declared].sort());
    });

    it(`of ${type} are all different`, () => {
      const theirs = [...names.values()].flatMap((stored) => stored.names);
      expect(new Set(theirs).size).to.equal(theirs.length);
    });

    it(`of ${type} transpose the kernels, and no table, bias or LayerNorm`, () => {
      for (const [ours, { transposed }] of names) expect(transposed, ours).to.equal(ours.endsWith('/kernel'));
    });
  }

  it('are looked up with and without prefix, and with LayerNorm as it was spelled before 2019', () => {
    const names = huggingFaceNames(modelConfigSchema.parse({ ...sizes, embedding_size: undefined }));
    expect(names.get('bert/embeddings/LayerNorm/gamma')!.names).to.deep.equal([
      'bert.embeddings.LayerNorm.weight',
      'bert.embeddings.LayerNorm.gamma',
      'embeddings.LayerNorm.weight',
      'embeddings.LayerNorm.gamma',
    ]);
    expect(names.get('classifier/kernel')!.names).to.deep.equal(['classifier.weight']);
  });
});
