/// An operator of our own, outside of Exciton: Swish (Ramachandran, Zoph and Le 2017).
#pragma once
#include <cmath>
#include <exciton/exciton.hpp>
#include <exciton/ops/elementwise.hpp>

/// x of any shape -> y = x s(x) with s(x) = 1 / (1 + exp(-x)). Backward: dx = dy s (1 + x (1 - s)).
struct Swish {
  static constexpr std::string_view name = "swish";
  struct Saved {
    exciton::Tensor x;  // all that backward keeps alive
  };

  exciton::Tensor forward(Saved& saved, const exciton::Tensor& x) const {
    saved.x = x;
    const auto swish = [](auto v) { return v * sigmoid(v); };
    return exciton::ops::map(name, swish, x);
  }
  exciton::Grads<1> backward(Saved& saved, exciton::Tensor dy, exciton::Needs<1>) const {
    const auto slope = [](auto d, auto v) {
      const auto s = sigmoid(v);
      return d * s * (1 + v * (1 - s));
    };
    return {exciton::ops::map_gradient(name, slope, dy, saved.x)};
  }
  static std::vector<exciton::Example<Swish>> examples() {
    return {{{}, {{2, 3, 5, 7}}}, {{}, {{1, 1, 1, 1}}}, {{}, {{4, 9}}}};
  }

  static auto sigmoid(auto v) { return 1 / (1 + std::exp(-v)); }
};

inline exciton::Var swish(const exciton::Var& x) { return exciton::apply(Swish{}, x); }
