// Ops of this project's own for the CPU: what would be many passes over the memory in TensorFlow's ops is one here.
// Registered through TensorFlow's C interface when the addon is loaded; graphs for other programs do not use them.
// Every op computes what the TensorFlow ops named in src/graph/fused-ops.ts and row-gradients.ts compute, to rounding; the
// dropout masks are the same to the bit.
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <node_api.h>
#include <tensorflow/c/ops.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <initializer_list>
#include <mutex>
#include <vector>

#include "fused-kernels.h"
#include "tensorflow-kernels.h"
#include "thread-pool.h"

namespace {

using t4::PhiloxStream;

const t4::Kernels& kernels = t4::KernelsOfThisProcessor();

/** Elements that are worth a thread of their own. */
constexpr int64_t kGrain = 16384;

/** Calls body(begin, end) for parts of `count`; their bounds are multiples of `unit`, and do not depend on the threads. */
template <typename Body>
void Share(int64_t count, int64_t unit, const Body& body) {
  const int64_t parts = (count + unit - 1) / unit;
  t4::ThreadPool::Instance().Run(parts, [&](int64_t part) {
    body(part * unit, std::min(count, (part + 1) * unit));
  });
}

int64_t RowsOfGrain(int64_t width) { return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, width)); }

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
void* Create(TF_OpKernelConstruction* construction) {
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

void Delete(void* kernel) { delete static_cast<Attributes*>(kernel); }

const Attributes& Of(void* kernel) { return *static_cast<Attributes*>(kernel); }

/** Calls body(kernels, zero) with the kernels for the tensor's type, and a null pointer of that type. */
template <typename Body>
void ByType(const Tensor& tensor, const Body& body) {
  if (tensor.isBfloat16) {
    body(kernels.bfloat16, static_cast<t4::Bfloat16*>(nullptr));
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

void Gelu(void* kernel, TF_OpKernelContext* given) {
  Context context(given);
  const bool tanh = Of(kernel).tanh;
  const Tensor x = context.Input(0);
  const Tensor y = context.OutputLike(0, x, {0});
  if (!context.ok()) return;
  ByType(x, [&](const auto& typed, auto* zero) {
    Share(x.size(), kGrain, [&](int64_t begin, int64_t end) {
      typed.gelu(Elements(x, zero), Elements(y, zero), tanh, begin, end);
    });
  });
}

void GeluGrad(void* kernel, TF_OpKernelContext* given) {
  Context context(given);
  const bool tanh = Of(kernel).tanh;
  const Tensor dy = context.Input(0);
  const Tensor x = context.Input(1);
  context.Require(dy.size() == x.size(), "dy and x must be of one shape");
  const Tensor dx = context.OutputLike(0, dy, {0, 1});
  if (!context.ok()) return;
  ByType(dy, [&](const auto& typed, auto* zero) {
    Share(x.size(), kGrain, [&](int64_t begin, int64_t end) {
      typed.geluGrad(Elements(dy, zero), Elements(x, zero), Elements(dx, zero), tanh, begin, end);
    });
  });
}

void BiasGrad(void*, TF_OpKernelContext* given) {
  Context context(given);
  const Tensor dy = context.Input(0);
  if (!context.ok()) return;
  const int64_t width = dy.width();
  const Tensor sums = context.Output(0, {width});
  if (!context.ok()) return;
  ByType(dy, [&](const auto& typed, auto* zero) {
    SumRows(dy.rows(), width, width, sums.floats(), [&](float* to, int64_t begin, int64_t end) {
      typed.biasGrad(Elements(dy, zero), to, width, begin, end);
    });
  });
}

void LayerNorm(Context& context, const Attributes& attributes, const Tensor& x, const Tensor* residual, int next,
               std::initializer_list<int> forwarded) {
  const Tensor gamma = context.Input(next);
  const Tensor beta = context.Input(next + 1);
  if (!context.ok()) return;
  const int64_t width = x.width();
  context.Require(gamma.size() == width && beta.size() == width, "gamma and beta must be as wide as x");
  context.Require(residual == nullptr || residual->size() == x.size(), "x and residual must be of one shape");
  const Tensor y = context.OutputLike(0, x, forwarded);
  const Tensor normal = attributes.keep ? context.OutputLike(1, x) : context.Output(1, {0});
  const Tensor inverse = context.ok() && attributes.keep ? context.Output(2, {x.rows(), 1}) : context.Output(2, {0, 1});
  if (!context.ok()) return;
  float* normals = attributes.keep ? normal.floats() : nullptr;
  float* inverses = attributes.keep ? inverse.floats() : nullptr;
  const float* residuals = residual == nullptr ? nullptr : residual->floats();
  ByType(x, [&](const auto& typed, auto* zero) {
    Share(x.rows(), RowsOfGrain(width), [&](int64_t begin, int64_t end) {
      typed.layerNorm(Elements(x, zero), residuals, gamma.floats(), beta.floats(), attributes.epsilon, y.floats(),
                      normals, inverses, width, begin, end);
    });
  });
}

void PlainLayerNorm(void* kernel, TF_OpKernelContext* given) {
  Context context(given);
  const Tensor x = context.Input(0);
  if (context.ok()) LayerNorm(context, Of(kernel), x, nullptr, 1, {0});
}

void AddLayerNorm(void* kernel, TF_OpKernelContext* given) {
  Context context(given);
  const Tensor x = context.Input(0);
  const Tensor residual = context.Input(1);
  if (context.ok()) LayerNorm(context, Of(kernel), x, &residual, 2, {0, 1});
}

/** With `adds` a second gradient of the output comes after the first. */
template <bool adds>
void LayerNormGrad(void*, TF_OpKernelContext* given) {
  Context context(given);
  const Tensor dy = context.Input(0);
  const Tensor more = adds ? context.Input(1) : Tensor();
  const Tensor normal = context.Input(1 + adds);
  const Tensor inverse = context.Input(2 + adds);
  const Tensor gamma = context.Input(3 + adds);
  if (!context.ok()) return;
  const int64_t width = dy.width();
  const int64_t rows = dy.rows();
  context.Require(normal.size() == dy.size() && inverse.size() == rows && gamma.size() == width,
                  "normal, inverse and gamma must fit dy");
  context.Require(!adds || more.size() == dy.size(), "the gradients must be of one shape");
  const Tensor dx = context.OutputLike(0, dy, {0});
  const Tensor dgamma = context.Output(1, {width});
  const Tensor dbeta = context.Output(2, {width});
  if (!context.ok()) return;
  std::vector<float> sums(static_cast<size_t>(2 * width));
  ByType(more, [&](const auto& typed, auto* zero) {
    SumRows(rows, width, 2 * width, sums.data(), [&](float* to, int64_t begin, int64_t end) {
      typed.layerNormGrad(dy.floats(), Elements(more, zero), normal.floats(), inverse.floats(), gamma.floats(),
                          dx.floats(), to, to + width, width, begin, end);
    });
  });
  std::copy(sums.begin(), sums.begin() + width, dgamma.floats());
  std::copy(sums.begin() + width, sums.end(), dbeta.floats());
}

/** One step of a counter and a key, to mix a seed (Philox 4x32-10). */
std::array<uint32_t, 4> Mix(std::array<uint32_t, 4> c, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; round++) {
    const uint64_t a = static_cast<uint64_t>(t4::kPhiloxA) * c[0];
    const uint64_t b = static_cast<uint64_t>(t4::kPhiloxB) * c[2];
    c = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(b),
         static_cast<uint32_t>(a >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(a)};
    k0 += t4::kWeylA;
    k1 += t4::kWeylB;
  }
  return c;
}

/** The stream of TensorFlow's StatelessRandom... ops for a seed (stateless_random_ops.cc, GenerateKey). */
PhiloxStream StreamOf(const int32_t seed[2]) {
  const auto first = static_cast<uint64_t>(static_cast<int64_t>(seed[0]));
  const auto second = static_cast<uint64_t>(static_cast<int64_t>(seed[1]));
  const auto mix = Mix({static_cast<uint32_t>(first), static_cast<uint32_t>(first >> 32), static_cast<uint32_t>(second),
                        static_cast<uint32_t>(second >> 32)},
                       0x3ec8f720, 0x02461e29);
  return {{0, 0, mix[2], mix[3]}, {mix[0], mix[1]}};
}

void Dropout(void* kernel, TF_OpKernelContext* given) {
  Context context(given);
  const Attributes& attributes = Of(kernel);
  const Tensor x = context.Input(0);
  const Tensor seed = context.Input(1);
  if (!context.ok()) return;
  const int rank = static_cast<int>(x.shape.size());
  context.Require(seed.size() == 2, "the seed must have two numbers");
  context.Require(attributes.axis >= 0 && attributes.axis < rank, "the axis must be one of x");
  if (!context.ok()) return;
  const Tensor y = context.OutputLike(0, x, {0});
  const Tensor kept = context.OutputLike(1, x);
  if (!context.ok() || x.size() == 0) return;
  int64_t piece = 1;
  for (int i = attributes.axis; i < rank; i++) piece *= x.shape[static_cast<size_t>(i)];
  const int64_t half = x.shape[static_cast<size_t>(attributes.axis)] % 2 == 0 ? piece / 2 : 0;
  const PhiloxStream stream = StreamOf(seed.as<int32_t>());
  ByType(x, [&](const auto& typed, auto* zero) {
    Share(half == 0 ? x.size() : x.size() / 2, kGrain / 2, [&](int64_t begin, int64_t end) {
      typed.dropout(stream, attributes.threshold, half, Elements(x, zero), Elements(y, zero), kept.as<uint8_t>(), begin,
                    end);
    });
  });
}

void DropoutGrad(void* kernel, TF_OpKernelContext* given) {
  Context context(given);
  const int32_t threshold = Of(kernel).threshold;
  const Tensor dy = context.Input(0);
  const Tensor kept = context.Input(1);
  if (!context.ok()) return;
  context.Require(dy.size() == kept.size(), "dy and kept must be of one shape");
  const Tensor dx = context.OutputLike(0, dy, {0});
  if (!context.ok()) return;
  ByType(dy, [&](const auto& typed, auto* zero) {
    Share(dy.size(), kGrain, [&](int64_t begin, int64_t end) {
      const uint8_t* mask = kept.as<uint8_t>();
      if (dx.isBfloat16) {
        typed.dropoutGradToBfloat16(threshold, Elements(dy, zero), mask, dx.as<t4::Bfloat16>(), begin, end);
      } else {
        typed.dropoutGradToFloat(threshold, Elements(dy, zero), mask, dx.floats(), begin, end);
      }
    });
  });
}

/** What attention is given, in both directions. */
struct AttentionInputs {
  /** All three the same where they lie side by side in the rows of one tensor. */
  Tensor query;
  Tensor key;
  Tensor value;
  Tensor bias;
  Tensor seed;
  bool joined;
  int64_t heads;
  int64_t hidden;
  int64_t sequences;
  int64_t queries;
  int64_t keys;

  int64_t stride() const { return joined ? 3 * hidden : hidden; }
  std::vector<int64_t> contextShape() const { return {sequences * queries, hidden}; }
  std::vector<int64_t> statisticsShape() const { return {sequences, heads, queries, 2}; }
};

AttentionInputs ReadAttention(Context& context, const Attributes& attributes, bool joined) {
  AttentionInputs in = {};
  in.joined = joined;
  in.query = context.Input(0);
  in.key = joined ? in.query : context.Input(1);
  in.value = joined ? in.query : context.Input(2);
  in.bias = context.Input(joined ? 1 : 3);
  in.seed = context.Input(joined ? 2 : 4);
  if (!context.ok()) return in;
  in.heads = attributes.heads;
  in.sequences = in.bias.rows();
  in.keys = in.bias.width();
  const int64_t width = in.query.width();
  in.hidden = joined ? width / 3 : width;
  context.Require(in.heads > 0 && in.stride() == width && in.hidden % in.heads == 0,
                  "the query must be as wide as the heads together");
  context.Require(in.sequences > 0 && in.query.rows() % in.sequences == 0, "the query must have rows for each sequence");
  context.Require(in.key.width() == width && in.value.width() == width, "key and value must be as wide as the query");
  context.Require(in.key.rows() == in.sequences * in.keys && in.value.rows() == in.key.rows(),
                  "key and value must have a row for each number of the bias");
  context.Require(in.seed.size() == 2, "the seed must have two numbers");
  if (context.ok()) in.queries = in.query.rows() / in.sequences;
  return in;
}

/** Where query, key and value are in tensors like those that are given. */
template <typename T>
struct Places {
  T* query;
  T* key;
  T* value;
  Places(const AttentionInputs& in, T* first, T* second, T* third)
      : query(first), key(in.joined ? first + in.hidden : second), value(in.joined ? first + 2 * in.hidden : third) {}
};

/**
 * Calls body(head, number of the head of all sequences, offset of its first query, that of its first key, that of its first
 * row of the context) for each, on several threads. Two heads share their random numbers, as they do in T4Dropout with
 * axis 1, and so come together.
 */
template <typename T, typename Body>
void ShareHeads(const AttentionInputs& in, const Attributes& attributes, T* zero, const Body& body) {
  const Places<T> from(in, Elements(in.query, zero), Elements(in.key, zero), Elements(in.value, zero));
  const int64_t stride = in.stride();
  const int64_t width = in.hidden / in.heads;
  const int64_t together = in.heads % 2 == 0 ? 2 : 1;
  const int64_t units = in.heads / together;
  const int64_t numbers = in.queries * in.keys;
  const PhiloxStream stream = StreamOf(in.seed.as<int32_t>());
  t4::ThreadPool::Instance().Run(in.sequences * units, [&](int64_t part) {
    const int64_t sequence = part / units;
    static thread_local std::vector<uint8_t> masks;
    const int64_t first = part * numbers;
    const int64_t groups = attributes.threshold > 0 ? (first + numbers + 63) / 64 - first / 64 : 0;
    const int64_t lower = groups * 64 + 64;
    if (static_cast<int64_t>(masks.size()) < 2 * lower) masks.resize(static_cast<size_t>(2 * lower));
    if (groups > 0) {
      kernels.drawKept(stream, attributes.threshold, first / 64, first / 64 + groups, masks.data(),
                       masks.data() + lower);
    }
    for (int64_t half = 0; half < together; half++) {
      const int64_t head = part % units + half * units;
      const int64_t queryOffset = sequence * in.queries * stride + head * width;
      const int64_t keyOffset = sequence * in.keys * stride + head * width;
      const uint8_t* kept = groups > 0 ? masks.data() + half * lower + first % 64 : nullptr;
      const t4::AttentionHead<T> given = {from.query + queryOffset,
                                          from.key + keyOffset,
                                          from.value + keyOffset,
                                          in.queries,
                                          in.keys,
                                          width,
                                          stride,
                                          in.hidden,
                                          attributes.scale,
                                          in.bias.floats() + sequence * in.keys,
                                          kept,
                                          65536.0f / static_cast<float>(65536 - attributes.threshold)};
      body(given, sequence * in.heads + head, queryOffset, keyOffset, sequence * in.queries * in.hidden + head * width);
    }
  });
}

template <bool joined>
void Attention(void* kernel, TF_OpKernelContext* given) {
  Context context(given);
  const Attributes& attributes = Of(kernel);
  const AttentionInputs in = ReadAttention(context, attributes, joined);
  if (!context.ok()) return;
  // A head's queries are read before its results are written, and lie where these lie.
  const Tensor output = joined ? context.Output(0, in.contextShape()) : context.OutputLike(0, in.query, {0});
  const Tensor statistics = context.Output(1, attributes.keep ? in.statisticsShape() : std::vector<int64_t>{0, 0, 0, 2});
  if (!context.ok()) return;
  ByType(in.query, [&](const auto& typed, auto* zero) {
    auto* to = Elements(output, zero);
    ShareHeads(in, attributes, zero, [&](const auto& head, int64_t number, int64_t, int64_t, int64_t offset) {
      typed.attention(head, to + offset, attributes.keep ? statistics.floats() + number * in.queries * 2 : nullptr);
    });
  });
}

template <bool joined>
void AttentionGrad(void* kernel, TF_OpKernelContext* given) {
  Context context(given);
  const Attributes& attributes = Of(kernel);
  const AttentionInputs in = ReadAttention(context, attributes, joined);
  const Tensor statistics = context.Input(joined ? 3 : 5);
  const Tensor gradient = context.Input(joined ? 4 : 6);
  if (!context.ok()) return;
  context.Require(gradient.size() == in.sequences * in.queries * in.hidden, "the gradient must have the context's shape");
  context.Require(statistics.size() == in.sequences * in.heads * in.queries * 2, "the statistics must be the forward op's");
  // As above: all that is read of a head's columns is read before their gradients are written.
  const Tensor dQuery = context.OutputLike(0, in.query, {0});
  const Tensor dKey = joined ? dQuery : context.OutputLike(1, in.key, {1});
  const Tensor dValue = joined ? dQuery : context.OutputLike(2, in.value, {2});
  if (!context.ok()) return;
  ByType(in.query, [&](const auto& typed, auto* zero) {
    const Places to(in, Elements(dQuery, zero), Elements(dKey, zero), Elements(dValue, zero));
    ShareHeads(in, attributes, zero,
               [&](const auto& head, int64_t number, int64_t queryOffset, int64_t keyOffset, int64_t offset) {
                 typed.attentionGrad(head, Elements(gradient, zero) + offset,
                                     statistics.floats() + number * in.queries * 2, to.query + queryOffset,
                                     to.key + keyOffset, to.value + keyOffset);
               });
  });
}

/** Three matrices side by side; or vectors, one after the other. */
void JoinColumns(void*, TF_OpKernelContext* given) {
  Context context(given);
  const Tensor parts[3] = {context.Input(0), context.Input(1), context.Input(2)};
  if (!context.ok()) return;
  const int64_t width = parts[0].width();
  for (const Tensor& part : parts) context.Require(part.shape == parts[0].shape, "the parts must be of one shape");
  if (!context.ok()) return;
  std::vector<int64_t> shape = parts[0].shape;
  shape.back() = 3 * width;
  const Tensor joined = context.Output(0, shape);
  if (!context.ok()) return;
  ByType(joined, [&](const auto& typed, auto* zero) {
    Share(parts[0].rows(), RowsOfGrain(3 * width), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; row++) {
        for (int64_t i = 0; i < 3; i++) {
          typed.copyFromFloat(parts[i].floats() + row * width, Elements(joined, zero) + (3 * row + i) * width, width);
        }
      }
    });
  });
}

/** The opposite. */
void SplitColumns(void*, TF_OpKernelContext* given) {
  Context context(given);
  const Tensor joined = context.Input(0);
  if (!context.ok()) return;
  context.Require(joined.width() % 3 == 0, "the width must be a multiple of 3");
  if (!context.ok()) return;
  std::vector<int64_t> shape = joined.shape;
  const int64_t width = shape.back() /= 3;
  const Tensor parts[3] = {context.Output(0, shape), context.Output(1, shape), context.Output(2, shape)};
  if (!context.ok()) return;
  ByType(joined, [&](const auto& typed, auto* zero) {
    Share(parts[0].rows(), RowsOfGrain(3 * width), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; row++) {
        for (int64_t i = 0; i < 3; i++) {
          typed.copyToFloat(Elements(joined, zero) + (3 * row + i) * width, parts[i].floats() + row * width, width);
        }
      }
    });
  });
}

/** A step of AdamW, but for the gradient. */
struct AdamWStep {
  Tensor weight;
  /** The weight and its two moments, as they are and where they go. */
  const float* state[3];
  float* next[3];
  t4::AdamWConstants constants;
};

/** Of inputs 0 to 2, of the four from `factors` on, and of all outputs. */
AdamWStep AdamWStepOf(Context& context, const Attributes& attributes, int factors) {
  AdamWStep step = {};
  Tensor state[3];
  Tensor scalars[4];
  for (int i = 0; i < 3; i++) state[i] = context.Input(i);
  for (int i = 0; i < 4; i++) scalars[i] = context.Input(factors + i);
  step.weight = state[0];
  for (const Tensor& tensor : state) {
    context.Require(tensor.size() == step.weight.size(), "weight and moments must be of one shape");
  }
  for (const Tensor& scalar : scalars) context.Require(scalar.size() == 1, "the factors must be scalars");
  if (!context.ok()) return step;
  for (int i = 0; i < 3; i++) {
    step.state[i] = state[i].floats();
    step.next[i] = context.OutputLike(i, state[i], {i}).floats();
  }
  step.constants = {*scalars[0].floats(), 1 - attributes.beta1, 1 - attributes.beta2,
                    *scalars[1].floats(), *scalars[2].floats(), *scalars[3].floats()};
  return step;
}

void AdamW(void* kernel, TF_OpKernelContext* given) {
  Context context(given);
  const Tensor gradient = context.Input(3);
  const AdamWStep step = AdamWStepOf(context, Of(kernel), 4);
  context.Require(gradient.size() == step.weight.size(), "weight and gradient must be of one shape");
  if (!context.ok()) return;
  ByType(gradient, [&](const auto& typed, auto* zero) {
    Share(gradient.size(), kGrain, [&](int64_t begin, int64_t end) {
      typed.adamW(step.constants, step.state, Elements(gradient, zero), step.next, begin, end);
    });
  });
}

/** Which tokens name each row of a table of `rows`. Negative ids name none, as in TensorFlow's UnsortedSegmentSum. */
class TokenLists {
 public:
  TokenLists(Context& context, const Tensor& ids, int64_t rows)
      : first_(static_cast<size_t>(rows), -1), next_(static_cast<size_t>(ids.size()), -1) {
    for (int64_t token = ids.size() - 1; token >= 0; token--) {
      const int32_t id = ids.as<int32_t>()[token];
      context.Require(id < rows, "an id is not below the number of rows");
      if (id < 0 || id >= rows) continue;
      next_[static_cast<size_t>(token)] = first_[static_cast<size_t>(id)];
      first_[static_cast<size_t>(id)] = static_cast<int32_t>(token);
    }
  }
  t4::TokensOfRows lists() const { return {first_.data(), next_.data()}; }

 private:
  std::vector<int32_t> first_;
  std::vector<int32_t> next_;
};

void AdamWRows(void* kernel, TF_OpKernelContext* given) {
  Context context(given);
  const Tensor gradients = context.Input(3);
  const Tensor ids = context.Input(4);
  const AdamWStep step = AdamWStepOf(context, Of(kernel), 5);
  if (!context.ok() || step.weight.size() == 0) return;
  const int64_t rows = step.weight.shape.empty() ? 1 : step.weight.shape[0];
  const int64_t width = step.weight.size() / rows;
  context.Require(gradients.size() == ids.size() * width, "the gradient must have a row for each id");
  const TokenLists tokens(context, ids, rows);
  if (!context.ok()) return;
  Share(rows, RowsOfGrain(width), [&](int64_t begin, int64_t end) {
    kernels.adamWRows(step.constants, step.state, gradients.floats(), tokens.lists(), step.next, width, begin, end);
  });
}

void L2Loss(void*, TF_OpKernelContext* given) {
  Context context(given);
  const Tensor x = context.Input(0);
  const Tensor loss = context.Output(0, {});
  if (!context.ok()) return;
  ByType(x, [&](const auto& typed, auto* zero) {
    SumRows(x.size(), 1, 1, loss.floats(),
            [&](float* to, int64_t begin, int64_t end) { *to = typed.squares(Elements(x, zero), begin, end); });
  });
  *loss.floats() /= 2;
}

void RowsL2Loss(void*, TF_OpKernelContext* given) {
  Context context(given);
  const Tensor gradients = context.Input(0);
  const Tensor ids = context.Input(1);
  const Tensor rows = context.Input(2);
  const Tensor loss = context.Output(0, {});
  if (!context.ok()) return;
  const int64_t width = ids.size() == 0 ? 0 : gradients.size() / ids.size();
  context.Require(gradients.size() == ids.size() * width, "the gradient must have a row for each id");
  context.Require(rows.size() == 1 && *rows.as<int32_t>() >= 0, "the number of rows must be a scalar of at least 0");
  if (!context.ok()) return;
  const TokenLists tokens(context, ids, *rows.as<int32_t>());
  if (!context.ok()) return;
  SumRows(ids.size(), width, 1, loss.floats(), [&](float* to, int64_t begin, int64_t end) {
    *to = kernels.squaresOfRows(gradients.floats(), ids.as<int32_t>(), tokens.lists(), width, begin, end);
  });
  *loss.floats() /= 2;
}

void MoveAverage(void*, TF_OpKernelContext* given) {
  Context context(given);
  const Tensor average = context.Input(0);
  const Tensor value = context.Input(1);
  const Tensor share = context.Input(2);
  if (!context.ok()) return;
  context.Require(average.size() == value.size(), "average and value must be of one shape");
  context.Require(share.size() == 1, "the share must be a scalar");
  const Tensor next = context.OutputLike(0, average, {0});
  if (!context.ok()) return;
  Share(average.size(), kGrain, [&](int64_t begin, int64_t end) {
    kernels.moveAverage(average.floats(), value.floats(), *share.floats(), next.floats(), begin, end);
  });
}

/** Memory for the time of an op that the next one gets again: new memory costs as much as to fill it. */
class Buffer {
 public:
  explicit Buffer(int64_t count) {
    {
      const std::lock_guard<std::mutex> lock(Mutex());
      if (!Free().empty()) {
        block_ = Free().back();
        Free().pop_back();
      }
    }
    if (block_.count >= count) return;
    std::free(block_.floats);
    block_.count = (count + 1023) / 1024 * 1024;
    block_.floats = static_cast<float*>(std::aligned_alloc(64, static_cast<size_t>(block_.count) * sizeof(float)));
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    const std::lock_guard<std::mutex> lock(Mutex());
    Free().push_back(block_);
  }
  float* floats() const { return block_.floats; }

 private:
  struct Block {
    float* floats = nullptr;
    int64_t count = 0;
  };
  static std::mutex& Mutex() {
    static auto* mutex = new std::mutex;
    return *mutex;
  }
  static std::vector<Block>& Free() {
    static auto* blocks = new std::vector<Block>;
    return *blocks;
  }
  Block block_;
};

/** Multiplications that are worth a thread of their own. */
constexpr int64_t kProductGrain = 1 << 20;

/** Computes all of C; `whole` is C as one part. */
template <typename T>
void ShareProduct(const t4::KernelsOf<T>& typed, const t4::ProductPart& whole) {
  const int64_t panels = (whole.endColumn + t4::kProductColumns - 1) / t4::kProductColumns;
  const int64_t work = whole.rows * whole.endColumn * whole.depth;
  auto& pool = t4::ThreadPool::Instance();
  // Parts for each thread, so that all end at the same time; beside few rows long ones, which fetch what comes next.
  const int64_t wanted = std::min(work / kProductGrain + 1, (whole.isFew ? 1 : 4) * pool.threads());
  // A panel is packed once for each block of rows: as few of these as will do.
  const int64_t blocks = std::max<int64_t>(1, std::min((wanted + panels - 1) / panels, whole.rows / t4::kFewRows));
  const int64_t perPart = (panels * blocks + wanted - 1) / wanted;
  const int64_t groups = (panels + perPart - 1) / perPart;
  const int64_t tiles = ((whole.rows + blocks - 1) / blocks + t4::kProductRows - 1) / t4::kProductRows;
  const int64_t unit = tiles * t4::kProductRows;
  pool.Run(groups * blocks, [&](int64_t number) {
    const int64_t row = number % blocks * unit;
    if (row >= whole.rows) return;
    t4::ProductPart part = whole;
    part.a += row * whole.aRow + row / t4::kProductRows * whole.aTile;
    part.c = static_cast<T*>(whole.c) + row * whole.cRow;
    part.rows = std::min(unit, whole.rows - row);
    part.firstColumn = number / blocks * perPart * t4::kProductColumns;
    part.endColumn = std::min(whole.endColumn, part.firstColumn + perPart * t4::kProductColumns);
    typed.product(part);
  });
}

void MatMul(void* kernel, TF_OpKernelContext* given) {
  Context context(given);
  const Attributes& attributes = Of(kernel);
  const Tensor a = context.Input(0);
  const Tensor b = context.Input(1);
  const Tensor bias = attributes.biases > 0 ? context.Input(2) : Tensor();
  context.Require(a.shape.size() == 2 && b.shape.size() == 2, "a and b must be matrices");
  if (!context.ok()) return;
  const bool turnsA = attributes.transposeA;
  const bool turnsB = attributes.transposeB;
  const int64_t rows = a.shape[turnsA];
  const int64_t depth = a.shape[!turnsA];
  const int64_t columns = b.shape[!turnsB];
  context.Require(b.shape[turnsB] == depth, "the product is over sizes that differ");
  context.Require(attributes.biases == 0 || bias.size() == columns, "the bias must be as wide as the product");
  const Tensor c = context.Output(0, {rows, columns});
  if (!context.ok() || c.size() == 0) return;
  ByType(a, [&](const auto& typed, auto* zero) {
    constexpr int64_t perWord = sizeof(float) / sizeof *zero;
    const int64_t words = (depth + perWord - 1) / perWord;
    t4::ProductPart whole = {};
    whole.aRow = turnsA ? 0 : words;
    whole.aTile = turnsA ? t4::kProductRows * words : 0;
    whole.b = b.data;
    whole.bIsBfloat16 = b.isBfloat16;
    whole.bTransposed = turnsB;
    whole.bRow = b.width();
    whole.c = c.data;
    whole.cRow = columns;
    whole.bias = attributes.biases > 0 ? bias.floats() : nullptr;
    whole.rows = rows;
    whole.isFew = rows <= t4::kFewRows;
    whole.depth = depth;
    whole.endColumn = columns;
    if (!turnsA && depth % perWord == 0) {
      whole.a = a.floats();
      ShareProduct(typed, whole);
      return;
    }
    const int64_t unit = 2 * t4::kProductColumns;
    const Buffer packed((rows + unit - 1) / unit * unit * words);
    Share(rows, unit, [&](int64_t begin, int64_t end) {
      typed.packLeft(Elements(a, zero), turnsA, a.width(), depth, begin, end - begin, packed.floats() + begin * words);
    });
    whole.a = packed.floats();
    ShareProduct(typed, whole);
  });
}

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
     MatMul,
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
