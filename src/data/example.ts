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
