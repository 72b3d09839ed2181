/// Activations: x of any shape -> y = f(x), element by element.
#pragma once
#include <algorithm>
#include <cmath>

#include "exciton/core/tape.hpp"
#include "exciton/ops/elementwise.hpp"

namespace exciton::ops {

/// The functions themselves, once each, for the operators below, the excitation's layers and gates
/// and their twins: value(x), and gradient(d, y), the derivative told from y times d. Where f is
/// flat the gradient is 0 whatever d is; NaN in x stays NaN, and lets d pass.
namespace functions {

/// Rectified linear unit: y = max(0, x). Every kernel that ends in a ReLU does the same.
struct Relu {
  static constexpr std::string_view name = "relu";
  static auto value(auto x) { return x < 0 ? decltype(x){0} : x; }
  static auto gradient(auto d, auto y) { return y <= 0 ? decltype(d){0} : d; }
};

/// Logistic function: y = 1 / (1 + exp(-x)),  dx = dy y (1 - y).
struct Sigmoid {
  static constexpr std::string_view name = "sigmoid";
  static auto value(auto x) { return 1 / (1 + std::exp(-x)); }
  static auto gradient(auto d, auto y) { return d * (y * (1 - y)); }
};

/// Hyperbolic tangent: dx = dy (1 - y^2).
struct Tanh {
  static constexpr std::string_view name = "tanh";
  static auto value(auto x) { return std::tanh(x); }
  static auto gradient(auto d, auto y) { return d * (1 - y * y); }
};

/// Piecewise linear sigmoid (Howard et al. 2019, section 5.2): y = min(max(x + 3, 0), 6) / 6,
/// dx = dy / 6 where 0 < y < 1.
struct HardSigmoid {
  static constexpr std::string_view name = "hard_sigmoid";
  static auto value(auto x) { return std::clamp(x + 3, decltype(x){0}, decltype(x){6}) / 6; }
  static auto gradient(auto d, auto y) { return y <= 0 || y >= 1 ? decltype(d){0} : d / 6; }
};

}  // namespace functions

template <class F>
struct Activation {
  static constexpr std::string_view name = F::name;
  struct Saved {
    Tensor y;
  };
  Tensor forward(Saved& saved, const Tensor& x) const {
    const auto value = [](auto v) { return F::value(v); };
    return saved.y = map(name, value, x);
  }
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1>) const {
    const auto slope = [](auto d, auto y) { return F::gradient(d, y); };
    return {map_gradient(name, slope, dy, saved.y)};
  }
  static std::vector<Example<Activation>> examples() {
    return {{{}, {{2, 3, 4, 5}}}, {{}, {{1, 1, 1, 1}}}, {{}, {{3, 7}}}, {{}, {{2, 5, 7, 33}}}};
  }
};
using Relu = Activation<functions::Relu>;
using Sigmoid = Activation<functions::Sigmoid>;
using Tanh = Activation<functions::Tanh>;
using HardSigmoid = Activation<functions::HardSigmoid>;

inline Var relu(const Var& x) { return apply(Relu{}, x); }
inline Var sigmoid(const Var& x) { return apply(Sigmoid{}, x); }
inline Var tanh(const Var& x) { return apply(Tanh{}, x); }
inline Var hard_sigmoid(const Var& x) { return apply(HardSigmoid{}, x); }

}  // namespace exciton::ops
