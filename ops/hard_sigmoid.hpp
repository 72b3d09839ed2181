/// Piecewise linear sigmoid (Howard et al. 2019, section 5.2).
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"

namespace exciton::ops {

/// x of any shape -> y = min(max(x + 3, 0), 6) / 6. Backward: dx = dy / 6 where 0 < y < 1, else 0.
struct HardSigmoid {
  static constexpr std::string_view name = "hard_sigmoid";
  struct Saved {
    Tensor y;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<HardSigmoid>> examples();
};

inline Var hard_sigmoid(const Var& x) { return apply(HardSigmoid{}, x); }

}  // namespace exciton::ops
