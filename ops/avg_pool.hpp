/// Average pooling of channels-last images.
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/arguments.hpp"
#include "exciton/ops/pool_spec.hpp"

namespace exciton::ops {

/// x [N, H, W, C] -> y [N, H', W', C], the sum over each window by its number of pixels: all that
/// lie in the padded image, or (count_include_pad off) those in the image. Backward: dx is the sum
/// of dy / pixels over the windows that see the pixel. Errors: as PoolWindows.
struct AvgPool {
  static constexpr std::string_view name = "avg_pool";
  PoolSpec spec;
  struct Saved {
    Form x;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<AvgPool>> examples();
};

inline Var avg_pool(const Var& x, const PoolSpec& spec = {}) { return apply(AvgPool{spec}, x); }

}  // namespace exciton::ops
