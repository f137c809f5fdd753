/**
 * What every checkpoint format is read as and written from: named tensors, one at a time, so that a model never has to
 * be in memory as a whole.
 */

/** A tensor of a file that is open. */
export interface StoredTensor {
  readonly name: string;
  /** The element type as the file's format spells it (`F16`, `DT_FLOAT`, `torch.float16` ...). */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Reads the values as float32, row-major. Throws UserError 'files' for a dtype that is not a float of 16 to 64 bits. */
  read(): Float32Array;
}

/** An open file, or several that belong together. */
export interface TensorFile {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  close(): void;
}

/** A tensor to write as float32. */
export interface TensorToStore {
  readonly name: string;
  readonly shape: readonly number[];
  /** The values; called when it is this tensor's turn, so that one tensor at a time is in memory. */
  readonly values: () => Float32Array;
}
