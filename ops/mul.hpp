/// Product of two tensors, element by element.
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"

namespace exciton::ops {

/// a, b of one shape and type -> y = a b. Backward: da = dy b, db = dy a.
/// Errors: shapes or types differ.
struct Mul {
  static constexpr std::string_view name = "mul";
  struct Saved {
    Tensor a, b;
  };
  Tensor forward(Saved& saved, const Tensor& a, const Tensor& b) const;
  Grads<2> backward(Saved& saved, Tensor dy, Needs<2> needs) const;
  static std::vector<Example<Mul>> examples();
};

inline Var mul(const Var& a, const Var& b) { return apply(Mul{}, a, b); }

}  // namespace exciton::ops
