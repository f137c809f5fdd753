import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { UserError } from '../errors.js';
import { dtypeOfNumber } from '../graph/dtypes.js';
import { fileSize, printable } from './file-bytes.js';
import { readMetaGraph, type SavedPorts } from './meta-graph.js';

/** A SavedModel, read without TensorFlow. */

export interface PortDescription {
  readonly name: string;
  readonly dtype: string;
  /** -1: any; null: of any rank. */
  readonly shape: readonly number[] | null;
}

export interface SignatureDescription {
  readonly name: string;
  readonly inputs: readonly PortDescription[];
  readonly outputs: readonly PortDescription[];
}

export interface SavedModelDescription {
  readonly path: string;
  /** The versions in the folder of a model that is served; empty where the source is one version. */
  readonly versions: readonly number[];
  readonly tags: readonly string[];
  readonly tensorflow_version: string;
  readonly nodes: number;
  readonly signatures: readonly SignatureDescription[];
}

/** What a source is the SavedModel of: `saved_model.pb` itself, its folder, or the folder of its numbered versions. */
export function findSavedModel(path: string): { folder: string; versions: number[] } | undefined {
  if (basename(path) === fileName && statSync(path).isFile()) return { folder: dirname(path), versions: [] };
  if (!statSync(path).isDirectory()) return undefined;
  if (existsSync(join(path, fileName))) return { folder: path, versions: [] };
  const versions = readdirSync(path).filter(
    (name) => /^\d{1,15}$/.test(name) && existsSync(join(path, name, fileName)),
  );
  const sorted = versions.sort((a, b) => Number(a) - Number(b));
  const newest = sorted.at(-1);
  return newest === undefined ? undefined : { folder: join(path, newest), versions: sorted.map(Number) };
}

const fileName = 'saved_model.pb';

// protobuf's own limit is 2 GiB; weights are beside the graph, so that it is never near.
const mostBytes = 512 * 2 ** 20;

/** Reads `saved_model.pb` of a folder. Throws UserError 'files' where it is damaged. */
export function describeSavedModel(folder: string, versions: readonly number[]): SavedModelDescription {
  const path = join(folder, fileName);
  if (fileSize(path) > mostBytes) {
    throw new UserError('files', `${path} has ${fileSize(path)} bytes, expected a graph of at most ${mostBytes}`);
  }
  const graph = readMetaGraph(path);
  return {
    path,
    versions,
    tags: graph.metaInfoDef?.tags.map(printable) ?? [],
    tensorflow_version: printable(graph.metaInfoDef?.tensorflowVersion ?? ''),
    nodes: graph.graphDef?.node.length ?? 0,
    signatures: Object.entries(graph.signatureDef).map(([name, { inputs, outputs }]) => ({
      name: printable(name),
      inputs: portsOf(inputs),
      outputs: portsOf(outputs),
    })),
  };
}

const portsOf = (ports: SavedPorts): PortDescription[] =>
  Object.entries(ports).map(([name, { dtype, tensorShape: shape }]) => ({
    name: printable(name),
    dtype: dtypeOfNumber(dtype) ?? `DT_${dtype}`,
    shape: shape === null || shape.unknownRank ? null : shape.dim.map(({ size }) => size),
  }));
