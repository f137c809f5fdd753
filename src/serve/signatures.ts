import { join } from 'node:path';
import { damagedFile } from '../checkpoints/file-bytes.js';
import { readMetaGraph, type SavedPorts } from '../checkpoints/meta-graph.js';
import { dtypeOfNumber } from '../graph/dtypes.js';
import type { Port, Signature } from '../graph/signature.js';

/** A signature of an export. */
export interface ServedSignature extends Signature {
  /** `tensorflow/serving/predict` or the like. */
  readonly method: string;
}

export type ServedSignatures = Readonly<Record<string, ServedSignature>>;

/** The signatures of a version's `saved_model.pb`. Throws UserError 'files' where it is damaged or of another kind. */
export function readSignatures(folder: string): ServedSignatures {
  const path = join(folder, 'saved_model.pb');
  return Object.fromEntries(
    Object.entries(readMetaGraph(path).signatureDef).map(([name, { inputs, outputs, methodName }]) => [
      name,
      { inputs: portsOf(path, inputs), outputs: portsOf(path, outputs), method: methodName },
    ]),
  );
}

function portsOf(path: string, ports: SavedPorts): Record<string, Port> {
  return Object.fromEntries(
    Object.entries(ports).map(([key, { name, dtype, tensorShape }]) => {
      const known = dtypeOfNumber(dtype);
      if (known === undefined || tensorShape === null || tensorShape.unknownRank) {
        throw damagedFile(path, `its tensor ${name} is none that t4 export writes`);
      }
      return [key, { tensor: name, dtype: known, shape: tensorShape.dim.map(({ size }) => size) }];
    }),
  );
}
