// What an op of this project's own needs: its tensors and attributes from TensorFlow, and threads for its work.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <vector>

#include "fused-kernels.h"
#include "tensorflow-kernels.h"
#include "thread-pool.h"

namespace t4 {

inline const Kernels& kernels = KernelsOfThisProcessor();

/** Elements that are worth a thread of their own. */
constexpr int64_t kGrain = 16384;

/** Calls body(begin, end) for parts of `count`; their bounds are multiples of `unit`, and do not depend on the threads. */
template <typename Body>
void Share(int64_t count, int64_t unit, const Body& body) {
  const int64_t parts = (count + unit - 1) / unit;
  ThreadPool::Instance().Run(parts, [&](int64_t part) {
    body(part * unit, std::min(count, (part + 1) * unit));
  });
}

inline int64_t RowsOfGrain(int64_t width) { return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, width)); }

/** An input or an output: where it lies, and its shape. */
struct Tensor {
  void* data = nullptr;
  bool isBfloat16 = false;
  std::vector<int64_t> shape;

  int64_t size() const {
    int64_t product = 1;
    for (int64_t length : shape) product *= length;
    return product;
  }
  int64_t width() const { return shape.empty() ? 0 : shape.back(); }
  int64_t rows() const { return width() == 0 ? 0 : size() / width(); }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data);
  }
  float* floats() const { return as<float>(); }
};

/** What a kernel asks of TensorFlow. After a failure every tensor may be empty: ask `ok` first. */
class Context {
 public:
  explicit Context(TF_OpKernelContext* context) : context_(context), status_(TF_NewStatus()) {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() {
    if (!ok()) TF_OpKernelContext_Failure(context_, status_);
    TF_DeleteStatus(status_);
  }

  bool ok() const { return TF_GetCode(status_) == TF_OK; }

  Tensor Input(int index) {
    TF_Tensor* tensor = nullptr;
    if (ok()) TF_GetInput(context_, index, &tensor, status_);
    return Read(tensor);
  }

  /** Of the shape of `like`; in the memory of one of the inputs named, if nobody else needs it. */
  Tensor OutputLike(int index, const Tensor& like, std::initializer_list<int> forwarded = {}) {
    return Output(index, like.shape, forwarded);
  }

  Tensor Output(int index, const std::vector<int64_t>& shape, std::initializer_list<int> forwarded = {}) {
    if (!ok()) return {};
    const int rank = static_cast<int>(shape.size());
    if (forwarded.size() > 0) {
      std::vector<int> candidates(forwarded);
      int used = -1;
      return Read(TF_ForwardInputOrAllocateOutput(context_, candidates.data(), static_cast<int>(candidates.size()),
                                                  index, shape.data(), rank, &used, status_));
    }
    size_t bytes = TF_DataTypeSize(TF_ExpectedOutputDataType(context_, index));
    for (int64_t size : shape) bytes *= static_cast<size_t>(size);
    return Read(TF_AllocateOutput(context_, index, TF_ExpectedOutputDataType(context_, index), shape.data(), rank,
                                  bytes, status_));
  }

  void Require(bool condition, const char* message) {
    if (ok() && !condition) TF_SetStatus(status_, TF_INVALID_ARGUMENT, message);
  }

 private:
  /**
   * The memory is the op's own for as long as it computes. The handle has to go at once: while there is one for an input,
   * TensorFlow sees another owner, and does not forward the input's memory to an output.
   */
  Tensor Read(TF_Tensor* tensor) {
    if (tensor == nullptr) return {};
    Tensor read;
    read.data = TF_TensorData(tensor);
    read.isBfloat16 = TF_TensorType(tensor) == TF_BFLOAT16;
    for (int i = 0; i < TF_NumDims(tensor); i++) read.shape.push_back(TF_Dim(tensor, i));
    TF_DeleteTensor(tensor);
    return read;
  }

  TF_OpKernelContext* context_;
  TF_Status* status_;
};

/** The attributes of a node; each op has some of them. */
struct Attributes {
  float epsilon = 0;
  float beta1 = 0;
  float beta2 = 0;
  int32_t threshold = 0;
  int32_t axis = 0;
  int32_t heads = 0;
  float scale = 0;
  bool tanh = false;
  bool keep = false;
  bool transposeA = false;
  bool transposeB = false;
  int32_t biases = 0;
};

/** Reads the attributes that the node has of those that there are. */
inline void* Create(TF_OpKernelConstruction* construction) {
  auto* attributes = new Attributes;
  TF_Status* status = TF_NewStatus();
  const auto has = [&](const char* name) {
    return TF_GetCode(status) == TF_OK && TF_OpKernelConstruction_HasAttr(construction, name, status) &&
           TF_GetCode(status) == TF_OK;
  };
  const auto real = [&](const char* name, float* value) {
    if (has(name)) TF_OpKernelConstruction_GetAttrFloat(construction, name, value, status);
  };
  const auto integer = [&](const char* name, int32_t* value) {
    if (has(name)) TF_OpKernelConstruction_GetAttrInt32(construction, name, value, status);
  };
  const auto boolean = [&](const char* name, bool* value) {
    unsigned char byte = 0;
    if (has(name)) TF_OpKernelConstruction_GetAttrBool(construction, name, &byte, status);
    *value = byte != 0;
  };
  real("epsilon", &attributes->epsilon);
  real("beta1", &attributes->beta1);
  real("beta2", &attributes->beta2);
  integer("threshold", &attributes->threshold);
  integer("axis", &attributes->axis);
  integer("heads", &attributes->heads);
  real("scale", &attributes->scale);
  boolean("tanh", &attributes->tanh);
  boolean("keep", &attributes->keep);
  boolean("transpose_a", &attributes->transposeA);
  boolean("transpose_b", &attributes->transposeB);
  integer("biases", &attributes->biases);
  if (TF_GetCode(status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status);
  TF_DeleteStatus(status);
  return attributes;
}

inline void Delete(void* kernel) { delete static_cast<Attributes*>(kernel); }

inline const Attributes& Of(void* kernel) { return *static_cast<Attributes*>(kernel); }

/** Calls body(kernels, zero) with the kernels for the tensor's type, and a null pointer of that type. */
template <typename Body>
void ByType(const Tensor& tensor, const Body& body) {
  if (tensor.isBfloat16) {
    body(kernels.bfloat16, static_cast<Bfloat16*>(nullptr));
  } else {
    body(kernels.float32, static_cast<float*>(nullptr));
  }
}

/** The elements of a tensor of the type of `zero`. */
template <typename T>
T* Elements(const Tensor& tensor, T* /* zero */) {
  return tensor.as<T>();
}

/**
 * Sums over rows: `body(sums, begin, end)` gives those of rows begin to before end, `count` numbers. Always of the same
 * parts, added in their order: the same to the bit however many threads there are.
 */
template <typename Body>
void SumRows(int64_t rows, int64_t width, int64_t count, float* result, const Body& body) {
  const int64_t unit = std::max<int64_t>(RowsOfGrain(width), (rows + 63) / 64);
  const int64_t parts = (rows + unit - 1) / unit;
  std::vector<float> sums(static_cast<size_t>(parts * count));
  Share(rows, unit, [&](int64_t begin, int64_t end) { body(sums.data() + begin / unit * count, begin, end); });
  std::fill(result, result + count, 0.0f);
  for (int64_t part = 0; part < parts; part++) {
    for (int64_t i = 0; i < count; i++) result[i] += sums[static_cast<size_t>(part * count + i)];
  }
}

}  // namespace t4
