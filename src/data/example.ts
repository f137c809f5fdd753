/** One row of a data file. */
export interface Example {
  text: string;
  /** The second text of a pair. */
  pair?: string;
  /** Position in the list of label names; absent in unlabelled data. */
  label?: number;
  /** Where the row starts in its file, from 1. */
  line: number;
}

/** One row that has any number of labels. */
export interface LabelSetExample extends Omit<Example, 'label'> {
  /** Positions in the list of label names, ascending; absent in unlabelled data. */
  labels?: readonly number[];
}

/** A sentence as words (or characters) that each have a label. */
export interface TaggedSentence {
  readonly words: readonly string[];
  /** Label id of each word: `[words]`; empty in unlabelled data. */
  readonly labels: readonly number[];
  /** Where it starts in its file, from 1. */
  readonly line: number;
  /** The text that textWords has split into the words; absent where the file has words. */
  readonly text?: string;
}

/** The sentences of one file. */
export interface TaggedFile {
  readonly sentences: readonly TaggedSentence[];
  /** Label names by id: those given, else those found. */
  readonly labels: readonly string[];
}
