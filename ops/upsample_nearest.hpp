/// Enlarging of maps by repeating pixels.
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/arguments.hpp"

namespace exciton::ops {

/// x [N, H, W, C] -> y [N, height, width, C] with
///   y[n,i,j,c] = x[n, floor(i H / height), floor(j W / width), c]
/// (PyTorch's interpolate(mode="nearest") where one size divides the other). Backward: dx is the
/// sum of dy over the pixels that show it. Errors: rank, a size below that of x or above 2^20.
struct UpsampleNearest {
  static constexpr std::string_view name = "upsample_nearest";
  std::int64_t height = 1, width = 1;
  struct Saved {
    Form x;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<UpsampleNearest>> examples();
};

inline Var upsample_nearest(const Var& x, std::int64_t height, std::int64_t width) {
  return apply(UpsampleNearest{height, width}, x);
}

}  // namespace exciton::ops
