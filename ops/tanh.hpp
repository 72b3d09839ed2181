/// Hyperbolic tangent.
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"

namespace exciton::ops {

/// x of any shape -> y = tanh(x). Backward: dx = dy (1 - y^2).
struct Tanh {
  static constexpr std::string_view name = "tanh";
  struct Saved {
    Tensor y;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<Tanh>> examples();
};

inline Var tanh(const Var& x) { return apply(Tanh{}, x); }

}  // namespace exciton::ops
