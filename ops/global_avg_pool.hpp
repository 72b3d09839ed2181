/// Global average pooling, the end of a convolutional trunk.
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/se/squeeze.hpp"

namespace exciton::ops {

/// x [N, H, W, C] -> y [N, C], y[n,c] = mean over h,w of x; f32 for f32 and bf16 images, f64 for
/// f64. Backward: dx = dy / (H W). The same sums as an average squeeze. Errors: rank, no pixels.
struct GlobalAvgPool {
  static constexpr std::string_view name = "global_avg_pool";
  using Saved = Squeeze::Saved;
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<GlobalAvgPool>> examples();
};

inline Var global_avg_pool(const Var& x) { return apply(GlobalAvgPool{}, x); }

}  // namespace exciton::ops
