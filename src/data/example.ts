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
