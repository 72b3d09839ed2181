/// Some rows out of several matrices.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/arguments.hpp"

namespace exciton::ops {

/// x_1 [R_1, C], x_2 [R_2, C], ..., rows [M] i64 -> y [M, C]: row m is row rows[m] of the matrices
/// put one below the other. Backward: dx is the sum of dy's rows that were read there, in their
/// order. Errors: no row, a row that is not there, ranks, columns or types that differ.
struct GatherRows {
  static constexpr std::string_view name = "gather_rows";
  Tensor rows;
  struct Saved {
    std::vector<Form> x;
  };
  Tensor forward(Saved& saved, std::span<const Tensor> x) const;
  std::vector<Tensor> backward(Saved& saved, Tensor dy, std::span<const bool> needs) const;
  static std::vector<Example<GatherRows>> examples();
};

inline Var gather_rows(const std::vector<Var>& x, const Tensor& rows) {
  return apply(GatherRows{rows}, std::span<const Var>(x));
}

}  // namespace exciton::ops
