/// Rectified linear unit.
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"

namespace exciton::ops {

/// x of any shape -> y = max(0, x); NaN stays NaN. Backward: dx = dy [y > 0], and dy where y is
/// NaN. Every kernel that ends in a ReLU does the same.
struct Relu {
  static constexpr std::string_view name = "relu";
  struct Saved {
    Tensor y;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<Relu>> examples();
};

inline Var relu(const Var& x) { return apply(Relu{}, x); }

}  // namespace exciton::ops
