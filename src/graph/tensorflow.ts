import './environment.js';
import { createRequire } from 'node:module';
import type * as TensorFlow from '@tensorflow/tfjs-node-gpu';

export type Tensor = TensorFlow.Tensor;
export type Scalar = TensorFlow.Scalar;
export type Tensor1D = TensorFlow.Tensor1D;
export type TensorInfo = TensorFlow.TensorInfo;
export type DataType = TensorFlow.DataType;
export type BackendValues = TensorFlow.backend_util.BackendValues;

/** One attribute of an op, in tfjs-node's form. */
export interface OpAttr {
  name: string;
  /** One of the binding's TF_ATTR_* numbers. */
  type: number;
  value: unknown;
}

/** The parts of tfjs-node's native binding that the engine uses. */
export interface Binding {
  readonly TF_ATTR_STRING: number;
  readonly TF_ATTR_INT: number;
  readonly TF_ATTR_FLOAT: number;
  readonly TF_ATTR_BOOL: number;
  readonly TF_ATTR_TYPE: number;
  readonly TF_ATTR_SHAPE: number;
  readonly TF_Version: string;
}

/** The parts of tfjs-node's backend that the engine uses: eager ops and SavedModel sessions. */
export interface NodeBackend {
  readonly binding: Binding;
  readonly isUsingGpuDevice: boolean;
  executeSingleOutput(op: string, attrs: OpAttr[], inputs: TensorInfo[]): Tensor;
  executeMultipleOutputs(op: string, attrs: OpAttr[], inputs: TensorInfo[], count: number): Tensor[];
  /** The handle of a writer of event files; the name says which one it is in this process. */
  summaryWriter(name: string): Tensor;
  createSummaryFileWriter(
    writer: Tensor,
    folder: string,
    maxQueue: number,
    flushMilliseconds: number,
    suffix: string,
  ): void;
  writeScalarSummary(writer: Tensor, step: number, tag: string, value: number): void;
  flushSummaryWriter(writer: Tensor): void;
  loadSavedModelMetaGraph(path: string, tags: string): number;
  deleteSavedModel(id: number): void;
  runSavedModel(id: number, inputs: Tensor[], infos: { name: string; tfDtype?: string }[], outputs: string[]): Tensor[];
  applyActivation(...args: unknown[]): Tensor;
}

/**
 * TensorFlow.js with its native backend. `require` instead of `import`: Node would scan the whole
 * bundle for export names first, which costs as much as loading it. Its source maps, megabytes that take a quarter of the
 * time, are not read.
 */
function requireTensorFlow(): typeof TensorFlow {
  const readsSourceMaps = process.sourceMapsEnabled;
  process.setSourceMapsEnabled(false);
  try {
    return createRequire(import.meta.url)('@tensorflow/tfjs-node-gpu') as typeof TensorFlow;
  } finally {
    process.setSourceMapsEnabled(readsSourceMaps);
  }
}

export const tf = requireTensorFlow();

export const nodeBackend = tf.findBackend('tensorflow') as unknown as NodeBackend;
