export { dimension, type Dimension, type Size } from './dimensions.js';
export type { DType } from './dtypes.js';
export { whileLoop, type LoopValue, type LoopValues } from './loop.js';
export { attr } from './node.js';
export {
  buildProgram,
  type FunctionSpec,
  type NamedTensors,
  type Precision,
  type Program,
  type TensorSpec,
  type VariableScope,
} from './program.js';
export { productProgram, type ProductChain } from './product-program.js';
export { productFlops } from './product-flops.js';
export { pushForward } from './push-forward.js';
export { recomputed } from './recompute.js';
export type { Variable } from './recorder.js';
export { writeSavedModel } from './saved-model.js';
export { openSession, type Call, type HostTensor, type Session } from './session.js';
export { openSummaryWriter, type SummaryWriter } from './summary-writer.js';
export { tensorList, type ListDType, type TensorList } from './tensor-list.js';
export { nodeBackend, tf, type Scalar, type Tensor, type Tensor1D } from './tensorflow.js';
export { TraceError } from './trace-error.js';
