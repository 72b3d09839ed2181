/// Logistic sigmoid.
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"

namespace exciton::ops {

/// x of any shape -> y = 1 / (1 + exp(-x)). Backward: dx = dy y (1 - y).
struct Sigmoid {
  static constexpr std::string_view name = "sigmoid";
  struct Saved {
    Tensor y;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<Sigmoid>> examples();
};

inline Var sigmoid(const Var& x) { return apply(Sigmoid{}, x); }

}  // namespace exciton::ops
