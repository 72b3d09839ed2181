/// Scale: every channel map times its own gate (paper section 3.2, eq. 4).
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"

namespace exciton::ops {

/// x [N, H, W, C], gate [N, C] (f32 beside f32 and bf16 images) -> y[n,h,w,c] = x[n,h,w,c]
/// gate[n,c] Backward: dx = dy gate;  dgate[n,c] = sum over h,w of dy x.
struct Scale {
  static constexpr std::string_view name = "scale";
  struct Saved {
    Tensor x, gate;
  };
  Tensor forward(Saved& saved, const Tensor& x, const Tensor& gate) const;
  Grads<2> backward(Saved& saved, Tensor dy, Needs<2> needs) const;
  static std::vector<Example<Scale>> examples();
};

inline Var scale(const Var& x, const Var& gate) { return apply(Scale{}, x, gate); }

}  // namespace exciton::ops
