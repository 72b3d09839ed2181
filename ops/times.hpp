/// A tensor times a number.
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/elementwise.hpp"

namespace exciton::ops {

/// x of any shape -> y = factor x. Backward: dx = factor dy. The factor is rounded to the type in
/// which x is computed.
struct Times {
  static constexpr std::string_view name = "times";
  double factor = 1;
  struct Saved {
    Form form;
  };
  Tensor forward(Saved& saved, const Tensor& x) const {
    saved.form = Form::of(x);
    return map(
        name, [f = factor](auto v) { return static_cast<decltype(v)>(f) * v; }, x);
  }
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1>) const {
    check_gradient(name, dy, saved.form);
    return {map_gradient(
        name, [f = factor](auto d) { return static_cast<decltype(d)>(f) * d; }, dy)};
  }
  static std::vector<Example<Times>> examples() {
    return {{{0.25}, {{2, 3, 4, 5}}}, {{-3}, {{1, 1, 1, 1}}}, {{1.0 / 9}, {{3, 7}}}};
  }
};

inline Var times(const Var& x, double factor) { return apply(Times{factor}, x); }

}  // namespace exciton::ops
