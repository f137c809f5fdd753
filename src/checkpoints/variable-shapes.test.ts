import { expect } from 'chai';
import { modelConfigSchema } from '../models/model-config.js';
import { crfVariables } from '../models/crf.js';
import { modelOf } from '../models/network.js';
import { huggingFaceNames } from './huggingface-names.js';
import { variableShape } from './variable-shapes.js';

const sizes = { vocab_size: 31, max_position_embeddings: 13, tie_word_embeddings: false };
const encoder = { ...sizes, hidden_size: 8, num_attention_heads: 2, intermediate_size: 11, type_vocab_size: 3 };
const configs: Readonly<Record<string, object>> = {
  bert: { ...encoder, num_hidden_layers: 2 },
  roberta: { ...encoder, num_hidden_layers: 2 },
  electra: { ...encoder, num_hidden_layers: 2, embedding_size: 6 },
  albert: { ...encoder, num_hidden_layers: 3, embedding_size: 6, num_hidden_groups: 2, inner_group_num: 2 },
  distilbert: { ...sizes, dim: 8, n_layers: 2, n_heads: 2, hidden_dim: 11 },
};
const labels = 5;

describe("variables' shapes by their names", () => {
  for (const [family, content] of Object.entries(configs)) {
    it(`are those that the model declares: ${family}`, () => {
      const config = modelConfigSchema.parse({ model_type: family, ...content });
      const model = modelOf(config);
      const specs = [
        ...model.variables,
        ...model.poolerVariables,
        ...model.classifier(labels).variables,
        ...model.tokenClassifier(labels).variables,
        ...model.languageModel.variables,
        ...crfVariables(labels),
      ];
      for (const { name, shape } of specs) {
        const expected = variableShape(config, name).map((size) => (size === 'labels' ? labels : size));
        expect(expected, name).to.deep.equal(shape);
      }
      const declared = new Set(specs.map(({ name }) => name));
      expect([...huggingFaceNames(config).keys()].filter((name) => !declared.has(name))).to.deep.equal([]);
    });
  }
});
