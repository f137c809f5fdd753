// The fused ops' arithmetic for the processor at hand: the same code compiled for several instruction sets. One addon
// serves every machine of its architecture, because the cache it lies in may be shared.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace t4 {

/** The random numbers of TensorFlow's stateless ops: Philox 4x32-10 (Salmon et al. 2011) from a counter and a key. */
struct PhiloxStream {
  uint32_t counter[4];
  uint32_t key[2];
};

constexpr uint32_t kPhiloxA = 0xD2511F53;
constexpr uint32_t kPhiloxB = 0xCD9E8D57;
constexpr uint32_t kWeylA = 0x9E3779B9;
constexpr uint32_t kWeylB = 0xBB67AE85;

struct AdamWConstants {
  float gradientFactor;
  /** 1 - beta1 and 1 - beta2. */
  float share1;
  float share2;
  float stepSize;
  float epsilon;
  float decayFactor;
};

struct Bfloat16 {
  uint16_t bits;
};

/** One head of one sequence: rows of `width` elements. Those of query, key and value, and of their gradients, are `stride` apart. */
template <typename T>
struct AttentionHead {
  const T* query;
  const T* key;
  const T* value;
  int64_t queries;
  int64_t keys;
  int64_t width;
  int64_t stride;
  int64_t contextStride;
  /** Scores are multiplied by it. */
  float scale;
  /** Added to the scores, [keys]. */
  const float* bias;
  /** Which weights dropout keeps, [queries, keys] and 16 bytes that may be read behind it; null: all. */
  const uint8_t* kept;
  /** What those are multiplied by. */
  float keptScale;
  /** The gradient of what is computed of the head, whose rows are `contextStride` apart; null on the way forward. */
  const T* dContext;
  /** The head that this thread is likely to compute after this one, which is fetched meanwhile; null: none. */
  const AttentionHead* next;
};

/** The tokens that name each row of a table, in their order: first[row], next[first[row]] and so on; -1: no more. */
struct TokensOfRows {
  const int32_t* first;
  const int32_t* next;
};

/** Rows of a tile of C, and columns of a panel of B, in products. */
constexpr int64_t kProductRows = 8;
constexpr int64_t kProductColumns = 48;
/** Rows of A beside which it takes time to get B from memory. */
constexpr int64_t kFewRows = 64;

/** Rows and columns of C = A B + bias. C has numbers of A's type; where that is bfloat16, A counts in words: pairs of them. */
struct ProductPart {
  /** Rows, or tiles of 8 of them, [words, 8]. */
  const float* a;
  /** From one row to the next; where there are tiles, 0. */
  int64_t aRow;
  /** From one tile to the next; where there are rows, 0. */
  int64_t aTile;
  const void* b;
  bool bIsBfloat16;
  bool bTransposed;
  /** From one row to the next, as it lies. */
  int64_t bRow;
  /** The first of the rows that are computed. */
  void* c;
  int64_t cRow;
  /** [N], or null. */
  const float* bias;
  /** Where the sums of B's columns go, [N], or null; not where B is transposed. */
  float* sums;
  int64_t rows;
  /** Whether all of A has no more than kFewRows. */
  bool isFew;
  /** K, in numbers. */
  int64_t depth;
  int64_t firstColumn;
  int64_t endColumn;
};

/** What there is for large tensors of either type; sums and all that is small is float. */
template <typename T>
struct KernelsOf {
  void (*gelu)(const T* x, T* y, bool tanh, int64_t begin, int64_t end);
  void (*geluGrad)(const T* dy, const T* x, T* dx, bool tanh, int64_t begin, int64_t end);
  void (*layerNorm)(const T* x, const float* residual, const float* gamma, const float* beta, float epsilon, float* y,
                    float* normal, float* inverse, int64_t width, int64_t begin, int64_t end);
  void (*biasGrad)(const T* dy, float* sums, int64_t width, int64_t begin, int64_t end);
  void (*dropout)(const PhiloxStream& stream, int32_t threshold, int64_t half, const T* x, T* y, uint8_t* kept,
                  int64_t begin, int64_t end);
  void (*dropoutGradToFloat)(int32_t threshold, const T* dy, const uint8_t* kept, float* dx, int64_t begin, int64_t end);
  void (*dropoutGradToBfloat16)(int32_t threshold, const T* dy, const uint8_t* kept, Bfloat16* dx, int64_t begin,
                                int64_t end);
  void (*attention)(const AttentionHead<T>& head, T* context, float* statistics);
  void (*attentionGrad)(const AttentionHead<T>& head, const float* statistics, T* dQuery, T* dKey, T* dValue);
  void (*layerNormGrad)(const float* dy, const T* more, const float* normal, const float* inverse, const float* gamma,
                        float* dx, float* dgamma, float* dbeta, int64_t width, int64_t begin, int64_t end);
  void (*adamW)(const AdamWConstants& constants, const float* const state[3], const T* gradient, float* const next[3],
                int64_t begin, int64_t end);
  float (*squares)(const T* x, int64_t begin, int64_t end);
  void (*copyFromFloat)(const float* from, T* to, int64_t count);
  void (*copyToFloat)(const T* from, float* to, int64_t count);
  void (*packLeft)(const T* a, bool transposed, int64_t stride, int64_t depth, int64_t first, int64_t count, float* to);
  /** Null where TensorFlow's own products are faster. */
  void (*product)(const ProductPart& part);
};

struct Kernels {
  KernelsOf<float> float32;
  KernelsOf<Bfloat16> bfloat16;
  void (*adamWRows)(const AdamWConstants& constants, const float* const state[3], const float* gradients,
                    const TokensOfRows& tokens, float* const next[3], int64_t width, int64_t begin, int64_t end);
  float (*squaresOfRows)(const float* gradients, const int32_t* ids, const TokensOfRows& tokens, int64_t width,
                         int64_t begin, int64_t end);
  void (*moveAverage)(const float* average, const float* value, float share, float* next, int64_t begin, int64_t end);
  void (*drawKept)(const PhiloxStream& stream, int32_t threshold, int64_t first, int64_t end, uint8_t* upper,
                   uint8_t* lower);
};

namespace baseline {
#include "fused-arithmetic.h"
}  // namespace baseline

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define T4_AVX2
namespace avx2 {
#include "fused-arithmetic.h"
}  // namespace avx2
#undef T4_AVX2
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"))), \
                             apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
#endif
#define T4_AVX512
namespace avx512 {
#include "fused-arithmetic.h"
}  // namespace avx512
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
// Compilers before these do not know the processors' dot products of bfloat16.
#if (defined(__clang__) && __clang_major__ >= 12) || (!defined(__clang__) && __GNUC__ >= 11)
#define T4_AVX512BF16
#define T4_HAS_AVX512BF16
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
#endif
namespace avx512bf16 {
#include "fused-arithmetic.h"
}  // namespace avx512bf16
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef T4_AVX512BF16
#endif
#undef T4_AVX512

#endif  // __x86_64__

inline const Kernels& KernelsOfThisProcessor() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
#if defined(T4_HAS_AVX512BF16)
    if (__builtin_cpu_supports("avx512bf16")) return avx512bf16::kernels;
#endif
    return avx512::kernels;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2::kernels;
#endif
  return baseline::kernels;
}

}  // namespace t4
