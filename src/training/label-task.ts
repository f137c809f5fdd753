import { encodeExamples, type EncodedDataset } from '../data/encode.js';
import type { Example } from '../data/example.js';
import { guessFormat } from '../data/format.js';
import { checkLabels } from '../data/labels.js';
import { readExamples } from '../data/read.js';
import { sequenceClassifier } from '../models/network.js';
import { labelledExamples } from './label-evaluation.js';
import { plural } from '../ui/format.js';
import type { TaskMethods } from './task-methods.js';

/** What became of texts that are longer than the model takes, in words. */
export function textsNote({ truncatedCount: cut, maxLength }: EncodedDataset): string {
  const limit = `${maxLength} (model.max_length)`;
  return cut === 0 ? `none over ${limit}` : `${plural(cut, 'example')} cut to ${limit}`;
}

/** Texts, or pairs of texts, that have one label each. */
export const labelTask: TaskMethods<Example> = {
  read(task, { path }, labels, requireLabels) {
    const { format, columns } = task.config.data;
    if (format === 'conll' || columns === undefined) throw new TypeError('the task is not one of classification');
    return readExamples(path, { format: format ?? guessFormat(path), columns, labels, requireLabels });
  },
  checkTrain: checkLabels,
  isLabelled: ({ label }) => label !== undefined,
  groupOf: ({ label = -1 }) => label,
  wordsOf: () => undefined,
  encode(examples, _labels, tokenizer, { max_length: maxLength }) {
    const dataset = encodeExamples(examples, tokenizer, maxLength);
    return { dataset, lengthNote: textsNote(dataset) };
  },
  evaluationSet: (examples, labels, tokenizer, maxLength) =>
    labelledExamples(examples, encodeExamples(examples, tokenizer, maxLength), labels, tokenizer.padTokenId),
  network: (config, { labels }) => sequenceClassifier(config, labels.length),
};
