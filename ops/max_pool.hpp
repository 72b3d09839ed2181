/// Max pooling of channels-last images.
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/arguments.hpp"
#include "exciton/ops/pool_spec.hpp"

namespace exciton::ops {

/// x [N, H, W, C] -> y [N, H', W', C], the maximum over each window; padding never wins, NaN does.
/// Backward: dx is the sum of dy over the windows in which the pixel is the first maximum.
/// Errors: as PoolWindows; a kernel above 16.
struct MaxPool {
  static constexpr std::string_view name = "max_pool";
  PoolSpec spec;
  struct Saved {
    Form x;
    Tensor where;  ///< u8, like y: position of the maximum in its window
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<MaxPool>> examples();
};

inline Var max_pool(const Var& x, const PoolSpec& spec = {}) { return apply(MaxPool{spec}, x); }

}  // namespace exciton::ops
