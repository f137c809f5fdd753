/** A value of the task file and the reason for it. */
export interface Choice<T> {
  readonly value: T;
  readonly why: string;
}
