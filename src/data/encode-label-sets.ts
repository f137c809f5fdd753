import type { Tokenizer } from '../tokenization/tokenizer.js';
import { encodeExamples, type EncodedDataset } from './encode.js';
import type { LabelSetExample } from './example.js';

/** Encodes examples that have any number of `numLabels` labels each. */
export function encodeLabelSets(
  examples: readonly LabelSetExample[],
  numLabels: number,
  tokenizer: Tokenizer,
  maxLength: number,
): EncodedDataset {
  const matrix = new Int32Array(examples.length * numLabels);
  examples.forEach(({ labels }, i) => {
    const row = matrix.subarray(i * numLabels, (i + 1) * numLabels);
    if (labels === undefined) row.fill(-1);
    else for (const id of labels) row[id] = 1;
  });
  return { ...encodeExamples(examples, tokenizer, maxLength), labels: matrix, labelled: 'label-set' };
}
