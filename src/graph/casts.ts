import type { DType } from './dtypes.js';
import { attr, type Attrs, type GraphNode } from './node.js';

/** The attributes of a Cast. */
export const castAttrs = (from: DType, to: DType): Attrs => ({
  SrcT: attr.type(from),
  DstT: attr.type(to),
  Truncate: attr.bool(false),
});

/** Whether a node casts from the one type to the other. */
export const isCast = ({ op, attrs }: GraphNode, from: DType, to: DType): boolean =>
  op === 'Cast' && attrs.SrcT === attr.type(from) && attrs.DstT === attr.type(to);
