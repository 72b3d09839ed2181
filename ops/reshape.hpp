/// The same elements under another shape.
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/arguments.hpp"

namespace exciton::ops {

/// x -> y with the shape `to`, elements in row-major order; no copy. Backward: dy in x's shape.
/// Errors: element counts differ.
struct Reshape {
  static constexpr std::string_view name = "reshape";
  Shape to;
  struct Saved {
    Form x;
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dy, Needs<1> needs) const;
  static std::vector<Example<Reshape>> examples();
};

inline Var reshape(const Var& x, const Shape& to) { return apply(Reshape{to}, x); }

/// [N, ...] -> [N, the rest]. Errors: rank 0.
inline Var flatten(const Var& x) {
  const std::int64_t n = x.dim(0);
  return reshape(x, {n, n > 0 ? x.shape().numel() / n : 0});
}

}  // namespace exciton::ops
