/// Conversion between floating types.
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/arguments.hpp"

namespace exciton::ops {

/// x of any shape -> y, its values in the type `to` (f32, bf16 or f64; bf16 rounds to nearest
/// even). Backward: dx = dy in the type of x. Errors: a type that is not floating.
struct Cast {
  static constexpr std::string_view name = "cast";
  DType to = DType::f32;
  struct Saved {
    Form x;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<Cast>> examples();
};

inline Var cast(const Var& x, DType to) { return apply(Cast{to}, x); }

}  // namespace exciton::ops
