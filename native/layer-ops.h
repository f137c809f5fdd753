// Ops of the layers: activation, bias, normalization, dropout.
#pragma once

#include "op.h"
#include "random-stream.h"

namespace t4 {

inline void Gelu(void* kernel, TF_OpKernelContext* given) {
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

inline void GeluGrad(void* kernel, TF_OpKernelContext* given) {
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

inline void BiasGrad(void*, TF_OpKernelContext* given) {
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

inline void LayerNorm(Context& context, const Attributes& attributes, const Tensor& x, const Tensor* residual, int next,
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

inline void PlainLayerNorm(void* kernel, TF_OpKernelContext* given) {
  Context context(given);
  const Tensor x = context.Input(0);
  if (context.ok()) LayerNorm(context, Of(kernel), x, nullptr, 1, {0});
}

inline void AddLayerNorm(void* kernel, TF_OpKernelContext* given) {
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

inline void Dropout(void* kernel, TF_OpKernelContext* given) {
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

inline void DropoutGrad(void* kernel, TF_OpKernelContext* given) {
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
        typed.dropoutGradToBfloat16(threshold, Elements(dy, zero), mask, dx.as<Bfloat16>(), begin, end);
      } else {
        typed.dropoutGradToFloat(threshold, Elements(dy, zero), mask, dx.floats(), begin, end);
      }
    });
  });
}

}  // namespace t4
