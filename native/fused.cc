// Ops of this project's own for the CPU: what would be many passes over the memory in TensorFlow's ops is one here.
// Registered through TensorFlow's C interface when the addon is loaded; graphs for other programs do not use them.
// Every op computes what the TensorFlow ops named in src/graph/fused-ops.ts, own-products.ts and row-gradients.ts compute,
// to rounding; the dropout masks are the same to the bit.
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <node_api.h>
#include <tensorflow/c/ops.h>

#include <vector>

#include "attention-ops.h"
#include "layer-ops.h"
#include "product-op.h"
#include "training-ops.h"

namespace {

using namespace t4;

/** The first output, and those named, have the shape of the first input. */
template <int... others>
void LikeFirst(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeHandle* shape = TF_NewShapeHandle();
  TF_ShapeInferenceContextSetUnknownShape(context, status);
  if (TF_GetCode(status) == TF_OK) TF_ShapeInferenceContextGetInput(context, 0, shape, status);
  for (int output : {0, others...}) {
    if (TF_GetCode(status) == TF_OK) TF_ShapeInferenceContextSetOutput(context, output, shape, status);
  }
  TF_DeleteShapeHandle(shape);
}

void Scalar(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeHandle* shape = TF_ShapeInferenceContextScalar(context);
  TF_ShapeInferenceContextSetOutput(context, 0, shape, status);
  TF_DeleteShapeHandle(shape);
}

void Unknown(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeInferenceContextSetUnknownShape(context, status);
}

/** The type of the large tensors. */
constexpr char kType[] = "T: {float, bfloat16} = DT_FLOAT";

struct Op {
  const char* name;
  std::vector<const char*> inputs;
  std::vector<const char*> outputs;
  std::vector<const char*> attributes;
  void (*compute)(void*, TF_OpKernelContext*);
  void (*shapes)(TF_ShapeInferenceContext*, TF_Status*);
};

const std::vector<Op> ops = {
    {"T4Gelu", {"x: T"}, {"y: T"}, {"tanh: bool", kType}, Gelu, LikeFirst<>},
    {"T4GeluGrad", {"dy: T", "x: T"}, {"dx: T"}, {"tanh: bool", kType}, GeluGrad, LikeFirst<>},
    {"T4BiasGrad", {"dy: T"}, {"sums: float"}, {kType}, BiasGrad, Unknown},
    {"T4LayerNorm",
     {"x: T", "gamma: float", "beta: float"},
     {"y: float", "normal: float", "inverse: float"},
     {"epsilon: float", "keep: bool", kType},
     PlainLayerNorm,
     LikeFirst<>},
    {"T4AddLayerNorm",
     {"x: T", "residual: float", "gamma: float", "beta: float"},
     {"y: float", "normal: float", "inverse: float"},
     {"epsilon: float", "keep: bool", kType},
     AddLayerNorm,
     LikeFirst<>},
    {"T4LayerNormGrad",
     {"dy: float", "normal: float", "inverse: float", "gamma: float"},
     {"dx: float", "dgamma: float", "dbeta: float"},
     {},
     LayerNormGrad<false>,
     LikeFirst<>},
    {"T4LayerNormGradOfSum",
     {"dy: float", "more: T", "normal: float", "inverse: float", "gamma: float"},
     {"dx: float", "dgamma: float", "dbeta: float"},
     {kType},
     LayerNormGrad<true>,
     LikeFirst<>},
    {"T4Dropout",
     {"x: T", "seed: int32"},
     {"y: T", "kept: bool"},
     {"threshold: int", "axis: int", kType},
     Dropout,
     LikeFirst<1>},
    {"T4DropoutGrad",
     {"dy: T", "kept: bool"},
     {"dx: Tout"},
     {"threshold: int", kType, "Tout: {float, bfloat16} = DT_FLOAT"},
     DropoutGrad,
     LikeFirst<>},
    {"T4Attention",
     {"query: T", "key: T", "value: T", "bias: float", "seed: int32"},
     {"context: T", "statistics: float"},
     {"heads: int", "scale: float", "threshold: int", "keep: bool", kType},
     Attention<false>,
     LikeFirst<>},
    {"T4AttentionGrad",
     {"query: T", "key: T", "value: T", "bias: float", "seed: int32", "statistics: float", "dcontext: T"},
     {"dquery: T", "dkey: T", "dvalue: T"},
     {"heads: int", "scale: float", "threshold: int", kType},
     AttentionGrad<false>,
     LikeFirst<1, 2>},
    {"T4JoinedAttention",
     {"joined: T", "bias: float", "seed: int32"},
     {"context: T", "statistics: float"},
     {"heads: int", "scale: float", "threshold: int", "keep: bool", kType},
     Attention<true>,
     Unknown},
    {"T4JoinedAttentionGrad",
     {"joined: T", "bias: float", "seed: int32", "statistics: float", "dcontext: T"},
     {"djoined: T"},
     {"heads: int", "scale: float", "threshold: int", kType},
     AttentionGrad<true>,
     LikeFirst<>},
    {"T4JoinColumns", {"a: float", "b: float", "c: float"}, {"joined: T"}, {kType}, JoinColumns, Unknown},
    {"T4SplitColumns", {"joined: T"}, {"a: float", "b: float", "c: float"}, {kType}, SplitColumns, Unknown},
    {"T4AdamW",
     {"weight: float", "first: float", "second: float", "gradient: T", "gradient_factor: float",
      "step_size: float", "epsilon: float", "decay_factor: float"},
     {"new_weight: float", "new_first: float", "new_second: float"},
     {"beta1: float", "beta2: float", kType},
     AdamW,
     LikeFirst<1, 2>},
    {"T4AdamWRows",
     {"weight: float", "first: float", "second: float", "gradients: float", "ids: int32", "gradient_factor: float",
      "step_size: float", "epsilon: float", "decay_factor: float"},
     {"new_weight: float", "new_first: float", "new_second: float"},
     {"beta1: float", "beta2: float"},
     AdamWRows,
     LikeFirst<1, 2>},
    {"T4MatMul",
     {"a: T", "b: Tb", "bias: biases * float"},
     {"product: T"},
     {"transpose_a: bool", "transpose_b: bool", "biases: int >= 0", kType, "Tb: {float, bfloat16} = DT_FLOAT"},
     MatMul<false>,
     Unknown},
    {"T4MatMulSums",
     {"a: T", "b: T"},
     {"product: T", "sums: float"},
     {"transpose_a: bool", "transpose_b: bool", kType},
     MatMul<true>,
     Unknown},
    {"T4L2Loss", {"x: T"}, {"loss: float"}, {kType}, L2Loss, Scalar},
    {"T4RowsL2Loss", {"gradients: float", "ids: int32", "rows: int32"}, {"loss: float"}, {}, RowsL2Loss, Scalar},
    {"T4MoveAverage",
     {"average: float", "value: float", "share: float"},
     {"new_average: float"},
     {},
     MoveAverage,
     LikeFirst<>},
};

void Register(const Op& op, TF_Status* status) {
  TF_OpDefinitionBuilder* definition = TF_NewOpDefinitionBuilder(op.name);
  for (const char* input : op.inputs) TF_OpDefinitionBuilderAddInput(definition, input);
  for (const char* output : op.outputs) TF_OpDefinitionBuilderAddOutput(definition, output);
  for (const char* attribute : op.attributes) TF_OpDefinitionBuilderAddAttr(definition, attribute);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(definition, op.shapes);
  TF_RegisterOpDefinition(definition, status);
  if (TF_GetCode(status) != TF_OK) return;
  TF_RegisterKernelBuilder(op.name, TF_NewKernelBuilder(op.name, "CPU", Create, op.compute, Delete), status);
}

/** Whether the processor has registers for tiles of bfloat16 (AMX), with which oneDNN is faster than dot products are. */
bool HasTiles() {
#if defined(__x86_64__)
  unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx >> 22 & 1) != 0;
#else
  return false;
#endif
}

void SetFlag(napi_env env, napi_value object, const char* name, bool flag) {
  napi_value value;
  if (napi_get_boolean(env, flag, &value) == napi_ok) napi_set_named_property(env, object, name, value);
}

napi_value Init(napi_env env, napi_value exports) {
  // Node calls this once for each thread that loads the addon; TensorFlow's registry is the process's.
  static const char* const problem = [] {
    static char message[512] = "";
    TF_Status* status = TF_NewStatus();
    for (const Op& op : ops) {
      Register(op, status);
      if (TF_GetCode(status) == TF_OK) continue;
      std::strncpy(message, TF_Message(status), sizeof message - 1);
      break;
    }
    TF_DeleteStatus(status);
    return message;
  }();
  if (problem[0] != '\0') napi_throw_error(env, nullptr, problem);
  SetFlag(env, exports, "multipliesFloat32", kernels.float32.product != nullptr);
  SetFlag(env, exports, "multipliesBfloat16", kernels.bfloat16.product != nullptr && !HasTiles());
  return exports;
}

}  // namespace

NAPI_MODULE(NODE_GYP_MODULE_NAME, Init)
