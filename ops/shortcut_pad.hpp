/// The shortcut without parameters, option A of He et al. 2016 (section 4.2).
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/arguments.hpp"

namespace exciton::ops {

/// x [N, H, W, C] -> y [N, ceil(H / stride), ceil(W / stride), channels] with
///   y[n,i,j,front + c] = x[n, i stride - shift, j stride - shift, c],
///   front = (channels - C) / 2 rounded down
/// and zeros in the other channels and for pixels above or left of the image (shift 1 makes the
/// second path of a Shake-Shake shortcut). Backward: dx is dy at those places, 0 elsewhere.
/// Errors: rank, stride below 1, shift below 0, fewer channels than x has.
struct ShortcutPad {
  static constexpr std::string_view name = "shortcut_pad";
  std::int64_t channels = 0, stride = 1, shift = 0;
  struct Saved {
    Form x;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<ShortcutPad>> examples();
};

inline Var shortcut_pad(const Var& x, std::int64_t channels, std::int64_t stride,
                        std::int64_t shift = 0) {
  return apply(ShortcutPad{channels, stride, shift}, x);
}

}  // namespace exciton::ops
