/// What the tests of operators share: one typed test an operator, and comparison in double.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "exciton/core/gradcheck.hpp"
#include "exciton/ops/all_ops.hpp"

namespace exciton::ops {

using AllOpTypes = AllOps::as<testing::Types>;

/// Tests are called after the operator: Gradients/conv2d.
struct OpNames {
  template <class Op>
  static std::string GetName(int) {
    return std::string(Op::name);
  }
};

/// max |a - b| / max(1, max |b|), and infinite where one is NaN.
inline double distance(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return INFINITY;
  double scale = 1, worst = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    const double d = std::abs(a.at(i) - b.at(i));
    worst = std::isnan(d) ? INFINITY : std::max(worst, d);
    scale = std::max(scale, std::abs(b.at(i)));
  }
  return worst / scale;
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         (a.empty() ? b.empty()
                    : std::equal(static_cast<const char*>(a.raw()),
                                 static_cast<const char*>(a.raw()) + a.bytes(),
                                 static_cast<const char*>(b.raw())));
}

/// The output of an operator and the gradients of its inputs.
struct Outcome {
  Tensor y;
  std::vector<Tensor> grads;
};

template <class Op>
Outcome run(const Op& op, const std::vector<Tensor>& x, const Tensor& dy) {
  typename Op::Saved saved{};
  Outcome r;
  r.y = detail::call_forward(op, saved, x);
  r.grads = detail::call_backward(op, saved, dy.clone(), x);
  return r;
}

/// A random gradient for the output of op on x.
template <class Op>
Tensor random_gradient(const Op& op, const std::vector<Tensor>& x, Generator& rng) {
  typename Op::Saved saved{};
  const Tensor y = detail::call_forward(op, saved, x);
  return Tensor::randn(y.shape(), rng, DType::f64).to(y.dtype());
}

/// Which inputs are bf16 when activations are: the first, and those of its shape (a second
/// operand, a shortcut). Parameters and gates stay f32.
template <class Op>
bool is_activation(std::size_t input, const std::vector<Shape>& shapes) {
  if constexpr (std::is_same_v<Op, Excite>)
    return false;
  else if constexpr (std::is_same_v<Op, Conv2d> || std::is_same_v<Op, Linear>)
    return input == 0;
  else
    return arity_of<Op> == any_number || shapes[input] == shapes[0];
}

/// The composed form of a fused operator, on as many inputs as it has.
template <class Op>
Var composed(const Op& op, const std::vector<Var>& v) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) { return Op::composed(op, v[I]...); }
  (std::make_index_sequence<static_cast<std::size_t>(arity_of<Op>)>{});
}

/// Output and gradients of f on the inputs, by the tape.
template <class F>
Outcome run_on_tape(F f, const std::vector<Tensor>& x, const Tensor& dy) {
  Tape tape;
  std::vector<Var> v;
  for (const Tensor& t : x) v.push_back(t.empty() ? Var() : tape.watch(t));
  const Var y = f(v);
  Outcome r;
  r.y = y.value();
  tape.backward(y, dy.clone());
  for (const Var& w : v) r.grads.push_back(w.empty() ? Tensor() : tape.gradient(w));
  return r;
}

}  // namespace exciton::ops
