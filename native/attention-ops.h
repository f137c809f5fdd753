// Attention in both directions, and the joining of what it is computed from.
#pragma once

#include "op.h"
#include "random-stream.h"

namespace t4 {

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

inline AttentionInputs ReadAttention(Context& context, const Attributes& attributes, bool joined) {
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

/** Which head it is, and where its first rows are. */
struct HeadPlace {
  int64_t sequence;
  /** Of all heads of all sequences. */
  int64_t number;
  int64_t query;
  int64_t key;
  int64_t context;
};

/**
 * Calls body(head, its place) for each, on several threads. Two heads share their random numbers, as they do in T4Dropout
 * with axis 1, and so come together.
 */
template <typename T, typename Body>
void ShareHeads(const AttentionInputs& in, const Attributes& attributes, const T* dContext, T* zero, const Body& body) {
  const Places<T> from(in, Elements(in.query, zero), Elements(in.key, zero), Elements(in.value, zero));
  const int64_t stride = in.stride();
  const int64_t width = in.hidden / in.heads;
  const int64_t together = in.heads % 2 == 0 ? 2 : 1;
  const int64_t units = in.heads / together;
  const int64_t parts = in.sequences * units;
  const int64_t numbers = in.queries * in.keys;
  const PhiloxStream stream = StreamOf(in.seed.as<int32_t>());
  const auto placeOf = [&](int64_t part, int64_t half) -> HeadPlace {
    const int64_t sequence = part / units;
    const int64_t head = part % units + half * units;
    const int64_t column = head * width;
    return {sequence, sequence * in.heads + head, sequence * in.queries * stride + column,
            sequence * in.keys * stride + column, sequence * in.queries * in.hidden + column};
  };
  const auto headAt = [&](const HeadPlace& place, const uint8_t* kept, const AttentionHead<T>* next) -> AttentionHead<T> {
    return {from.query + place.query,
            from.key + place.key,
            from.value + place.key,
            in.queries,
            in.keys,
            width,
            stride,
            in.hidden,
            attributes.scale,
            in.bias.floats() + place.sequence * in.keys,
            kept,
            65536.0f / static_cast<float>(65536 - attributes.threshold),
            dContext == nullptr ? nullptr : dContext + place.context,
            next};
  };
  auto& pool = ThreadPool::Instance();
  pool.Run(parts, [&](int64_t part) {
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
      const HeadPlace place = placeOf(part, half);
      const uint8_t* kept = groups > 0 ? masks.data() + half * lower + first % 64 : nullptr;
      // Threads take parts by turns, as long as none is late.
      const bool isLast = half + 1 == together;
      const int64_t following = isLast ? part + pool.threads() : part;
      const AttentionHead<T> next = headAt(placeOf(following, isLast ? 0 : half + 1), nullptr, nullptr);
      body(headAt(place, kept, following < parts ? &next : nullptr), place);
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
    ShareHeads(in, attributes, zero, zero, [&](const auto& head, const HeadPlace& place) {
      typed.attention(head, to + place.context,
                      attributes.keep ? statistics.floats() + place.number * in.queries * 2 : nullptr);
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
    ShareHeads(in, attributes, Elements(gradient, zero), zero, [&](const auto& head, const HeadPlace& place) {
      typed.attentionGrad(head, statistics.floats() + place.number * in.queries * 2, to.query + place.query,
                          to.key + place.key, to.value + place.key);
    });
  });
}

/** Three matrices side by side; or vectors, one after the other. */
inline void JoinColumns(void*, TF_OpKernelContext* given) {
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
inline void SplitColumns(void*, TF_OpKernelContext* given) {
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

}  // namespace t4
