/// Concatenation over channels.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/arguments.hpp"

namespace exciton::ops {

/// x_1 [..., C_1], x_2 [..., C_2], ... -> y [..., C_1 + C_2 + ...], one after another along the
/// last axis. Backward: dx_i is dy's slice. Errors: no input, leading extents or types that differ.
struct Concat {
  static constexpr std::string_view name = "concat";
  struct Saved {
    std::vector<Shape> shapes;
    Form y;
  };
  Tensor forward(Saved& saved, std::span<const Tensor> x) const;
  std::vector<Tensor> backward(Saved& saved, Tensor dy, std::span<const bool> needs) const;
  static std::vector<Example<Concat>> examples();
};

inline Var concat(const std::vector<Var>& x) {
  return exciton::apply(Concat{}, std::span<const Var>(x));
}

}  // namespace exciton::ops
