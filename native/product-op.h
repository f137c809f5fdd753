// The product of two matrices.
#pragma once

#include <cstdlib>
#include <mutex>

#include "op.h"

namespace t4 {

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
void ShareProduct(const KernelsOf<T>& typed, const ProductPart& whole) {
  const int64_t panels = (whole.endColumn + kProductColumns - 1) / kProductColumns;
  const int64_t work = whole.rows * whole.endColumn * whole.depth;
  auto& pool = ThreadPool::Instance();
  // Parts for each thread, so that all end at the same time; beside few rows long ones, which fetch what comes next.
  const int64_t wanted = std::min(work / kProductGrain + 1, (whole.isFew ? 1 : 4) * pool.threads());
  // A panel is packed once for each block of rows: as few of these as will do.
  const int64_t blocks = std::max<int64_t>(1, std::min((wanted + panels - 1) / panels, whole.rows / kFewRows));
  const int64_t perPart = (panels * blocks + wanted - 1) / wanted;
  const int64_t groups = (panels + perPart - 1) / perPart;
  const int64_t tiles = ((whole.rows + blocks - 1) / blocks + kProductRows - 1) / kProductRows;
  const int64_t unit = tiles * kProductRows;
  pool.Run(groups * blocks, [&](int64_t number) {
    const int64_t row = number % blocks * unit;
    if (row >= whole.rows) return;
    ProductPart part = whole;
    part.a += row * whole.aRow + row / kProductRows * whole.aTile;
    part.c = static_cast<T*>(whole.c) + row * whole.cRow;
    part.rows = std::min(unit, whole.rows - row);
    if (row > 0) part.sums = nullptr;
    part.firstColumn = number / blocks * perPart * kProductColumns;
    part.endColumn = std::min(whole.endColumn, part.firstColumn + perPart * kProductColumns);
    typed.product(part);
  });
}

/** With `sums` the second output are the sums of B's columns. */
template <bool sums>
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
  context.Require(!sums || (!turnsB && a.isBfloat16 == b.isBfloat16 && rows > 0), "B's columns cannot be summed");
  const Tensor c = context.Output(0, {rows, columns});
  const Tensor columnSums = sums ? context.Output(1, {columns}) : Tensor();
  if (!context.ok() || c.size() == 0) return;
  ByType(a, [&](const auto& typed, auto* zero) {
    constexpr int64_t perWord = sizeof(float) / sizeof *zero;
    const int64_t words = (depth + perWord - 1) / perWord;
    ProductPart whole = {};
    whole.aRow = turnsA ? 0 : words;
    whole.aTile = turnsA ? kProductRows * words : 0;
    whole.b = b.data;
    whole.bIsBfloat16 = b.isBfloat16;
    whole.bTransposed = turnsB;
    whole.bRow = b.width();
    whole.c = c.data;
    whole.cRow = columns;
    whole.sums = sums ? columnSums.floats() : nullptr;
    whole.bias = attributes.biases > 0 ? bias.floats() : nullptr;
    whole.rows = rows;
    whole.isFew = rows <= kFewRows;
    whole.depth = depth;
    whole.endColumn = columns;
    if (!turnsA && depth % perWord == 0) {
      whole.a = a.floats();
      ShareProduct(typed, whole);
      return;
    }
    const int64_t unit = 2 * kProductColumns;
    const Buffer packed((rows + unit - 1) / unit * unit * words);
    Share(rows, unit, [&](int64_t begin, int64_t end) {
      typed.packLeft(Elements(a, zero), turnsA, a.width(), depth, begin, end - begin, packed.floats() + begin * words);
    });
    whole.a = packed.floats();
    ShareProduct(typed, whole);
  });
}

}  // namespace t4
