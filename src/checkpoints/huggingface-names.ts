import type { BertConfig } from '../models/bert-config.js';

/** How a variable is stored in a Hugging Face checkpoint. */
export interface StoredAs {
  /** The tensor's name, without the model's prefix where `prefixed`. */
  readonly name: string;
  /** PyTorch's Linear keeps [out, in]; our kernels are [in, out]. */
  readonly transposed: boolean;
  /** Whether a model with a head puts `bert.` before it. */
  readonly prefixed: boolean;
}

const plain = (name: string): StoredAs => ({ name, transposed: false, prefixed: true });
const kernel = (name: string): StoredAs => ({ name, transposed: true, prefixed: true });
const head = (name: string, transposed: boolean): StoredAs => ({ name, transposed, prefixed: false });

/** Transformers' name of every variable of BERT and its classification head, by our name. */
export function huggingFaceNames(config: BertConfig): Map<string, StoredAs> {
  const layers = Array.from({ length: config.num_hidden_layers }, (_, index) => layerNames(index)).flat();
  return new Map([
    ['bert/embeddings/word_embeddings', plain('embeddings.word_embeddings.weight')],
    ['bert/embeddings/position_embeddings', plain('embeddings.position_embeddings.weight')],
    ['bert/embeddings/token_type_embeddings', plain('embeddings.token_type_embeddings.weight')],
    ['bert/embeddings/LayerNorm/gamma', plain('embeddings.LayerNorm.weight')],
    ['bert/embeddings/LayerNorm/beta', plain('embeddings.LayerNorm.bias')],
    ...layers,
    ['bert/pooler/dense/kernel', kernel('pooler.dense.weight')],
    ['bert/pooler/dense/bias', plain('pooler.dense.bias')],
    ['classifier/kernel', head('classifier.weight', true)],
    ['classifier/bias', head('classifier.bias', false)],
  ]);
}

function layerNames(index: number): [string, StoredAs][] {
  const [ours, theirs] = [`bert/encoder/layer_${index}`, `encoder.layer.${index}`];
  return [
    [`${ours}/attention/self/query/kernel`, kernel(`${theirs}.attention.self.query.weight`)],
    [`${ours}/attention/self/query/bias`, plain(`${theirs}.attention.self.query.bias`)],
    [`${ours}/attention/self/key/kernel`, kernel(`${theirs}.attention.self.key.weight`)],
    [`${ours}/attention/self/key/bias`, plain(`${theirs}.attention.self.key.bias`)],
    [`${ours}/attention/self/value/kernel`, kernel(`${theirs}.attention.self.value.weight`)],
    [`${ours}/attention/self/value/bias`, plain(`${theirs}.attention.self.value.bias`)],
    [`${ours}/attention/output/dense/kernel`, kernel(`${theirs}.attention.output.dense.weight`)],
    [`${ours}/attention/output/dense/bias`, plain(`${theirs}.attention.output.dense.bias`)],
    [`${ours}/attention/output/LayerNorm/gamma`, plain(`${theirs}.attention.output.LayerNorm.weight`)],
    [`${ours}/attention/output/LayerNorm/beta`, plain(`${theirs}.attention.output.LayerNorm.bias`)],
    [`${ours}/intermediate/dense/kernel`, kernel(`${theirs}.intermediate.dense.weight`)],
    [`${ours}/intermediate/dense/bias`, plain(`${theirs}.intermediate.dense.bias`)],
    [`${ours}/output/dense/kernel`, kernel(`${theirs}.output.dense.weight`)],
    [`${ours}/output/dense/bias`, plain(`${theirs}.output.dense.bias`)],
    [`${ours}/output/LayerNorm/gamma`, plain(`${theirs}.output.LayerNorm.weight`)],
    [`${ours}/output/LayerNorm/beta`, plain(`${theirs}.output.LayerNorm.bias`)],
  ];
}

/** Names that a tensor may have in a file: with and without the prefix, and LayerNorm's spelling of before 2019. */
export function spellings({ name, prefixed }: StoredAs): string[] {
  const old = name.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta');
  const names = old === name ? [name] : [name, old];
  return prefixed ? [...names.map((spelling) => `bert.${spelling}`), ...names] : names;
}
