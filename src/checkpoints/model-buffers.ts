/**
 * Whether a tensor is none of the weights: positions 0, 1, 2 ... and segments of zeros, which older versions of
 * Transformers saved along with them, and fairseq's marks of its version. The programs make them anew.
 */
export const isBuffer = (name: string): boolean =>
  /(^|\.)(position_ids|token_type_ids|version|_float_tensor)$/.test(name);
