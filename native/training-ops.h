// Ops of the optimizer and of the norm of the gradients.
#pragma once

#include "op.h"

namespace t4 {

/** A step of AdamW, but for the gradient. */
struct AdamWStep {
  Tensor weight;
  /** The weight and its two moments, as they are and where they go. */
  const float* state[3];
  float* next[3];
  AdamWConstants constants;
};

/** Of inputs 0 to 2, of the four from `factors` on, and of all outputs. */
inline AdamWStep AdamWStepOf(Context& context, const Attributes& attributes, int factors) {
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

inline void AdamW(void* kernel, TF_OpKernelContext* given) {
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
  TokensOfRows lists() const { return {first_.data(), next_.data()}; }

 private:
  std::vector<int32_t> first_;
  std::vector<int32_t> next_;
};

inline void AdamWRows(void* kernel, TF_OpKernelContext* given) {
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

inline void L2Loss(void*, TF_OpKernelContext* given) {
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

inline void RowsL2Loss(void*, TF_OpKernelContext* given) {
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

inline void MoveAverage(void*, TF_OpKernelContext* given) {
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

}  // namespace t4
