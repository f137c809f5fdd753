import { expect } from 'chai';
import { UserError } from '../errors.js';
import { modelTypes } from '../models/model-config.js';
import { parseConfig } from './config-file.js';

const sizes = {
  vocab_size: 31,
  hidden_size: 8,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 11,
};

function messageOf(json: unknown): string {
  try {
    parseConfig('folder/config.json', json);
  } catch (error) {
    if (error instanceof UserError && error.kind === 'files') return error.message;
    throw error;
  }
  return 'accepted';
}

describe('a configuration file', () => {
  it('with an unknown model_type is refused by one line that lists those there are', () => {
    expect(messageOf({ ...sizes, model_type: 'gpt2', hidden_act: 'mish' })).to.equal(
      `folder/config.json: model_type: got "gpt2", expected one of ${modelTypes.join(', ')}`,
    );
  });

  it("without model_type is read as BERT's", () => {
    expect(parseConfig('config.json', sizes).config.model_type).to.equal('bert');
  });

  it('with several mistakes is refused by a line for each: path, key, what was got, what was expected', () => {
    const json = { ...sizes, model_type: 'albert', vocab_size: undefined, hidden_act: 'mish', is_decoder: true };
    expect(messageOf({ ...json, pruned_heads: { 1: [0] } }).split('\n')).to.have.members([
      'folder/config.json: vocab_size: got nothing, expected a whole number, at least 1',
      'folder/config.json: hidden_act: got "mish", expected one of gelu, gelu_python, gelu_new, gelu_pytorch_tanh, ' +
        'gelu_fast, relu, silu, swish, tanh',
      'folder/config.json: is_decoder: got true, only false is supported',
      'folder/config.json: pruned_heads.1: got [0], pruned heads are not supported',
    ]);
  });

  it('gets one line for a key that breaks two rules', () => {
    expect(messageOf({ ...sizes, model_type: 'roberta', max_position_embeddings: 0 })).to.equal(
      'folder/config.json: max_position_embeddings: got 0, expected a whole number, at least 1',
    );
  });

  for (const [json, got] of [
    [null, 'null'],
    [[sizes], 'a list'],
    ['bert', 'a string'],
    [7, 'a number'],
  ] as const) {
    it(`that holds ${got} is refused as such`, () => {
      expect(messageOf(json)).to.equal(
        `folder/config.json: got ${got}, expected an object with the keys of a model's configuration`,
      );
    });
  }

  it('names its labels in the order of their ids; one label, or ids that skip one, are none', () => {
    const labelsOf = (id2label: object): readonly string[] | undefined =>
      parseConfig('config.json', { ...sizes, id2label }).labels;
    expect(labelsOf({ 1: 'yes', 0: 'no' })).to.deep.equal(['no', 'yes']);
    expect(labelsOf({ 0: 'no' })).to.equal(undefined);
    expect(labelsOf({ 0: 'no', 2: 'yes' })).to.equal(undefined);
  });
});
