/// Exercise 3, solved.
#pragma once
#include <algorithm>
#include <cmath>

#include "exciton/core/tape.hpp"
#include "exciton/ops/elementwise.hpp"

namespace course {

using exciton::Tensor;

/// x of any shape -> y = log(1 + exp(x)). Backward: dx = dy / (1 + exp(-x)).
/// exp(1000) is infinite, and log(1 + exp(1000)) is 1000 all the same. This form never overflows:
///   log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)),   std::log1p(t) being log(1 + t)
struct Softplus {
  static constexpr std::string_view name = "softplus";
  struct Saved {
    Tensor x;  // all that backward keeps alive
  };

  Tensor forward(Saved& saved, const Tensor& x) const {
    saved.x = x;
    const auto value = [](auto v) {
      return std::max(v, decltype(v){0}) + std::log1p(std::exp(-std::abs(v)));
    };
    return exciton::ops::map(name, value, x);
  }
  exciton::Grads<1> backward(Saved& saved, Tensor dy, exciton::Needs<1>) const {
    const auto slope = [](auto d, auto v) { return d / (1 + std::exp(-v)); };
    return {exciton::ops::map_gradient(name, slope, dy, saved.x)};
  }
  static std::vector<exciton::Example<Softplus>> examples() {
    return {{{}, {{2, 3, 5, 7}}}, {{}, {{1, 1, 1, 1}}}, {{}, {{4, 9}}}};
  }
};

inline exciton::Var softplus(const exciton::Var& x) { return exciton::apply(Softplus{}, x); }

}  // namespace course
