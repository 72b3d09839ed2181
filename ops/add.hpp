/// Sum of two tensors: the join of a residual block.
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/arguments.hpp"

namespace exciton::ops {

/// a, b of one shape and type -> y = a + b. Backward: da = db = dy, one tensor for both.
/// Errors: shapes or types differ.
struct Add {
  static constexpr std::string_view name = "add";
  struct Saved {
    Form form;
  };
  Tensor forward(Saved& saved, const Tensor& a, const Tensor& b) const;
  Grads<2> backward(Saved& saved, Tensor dy, Needs<2> needs) const;
  static std::vector<Example<Add>> examples();
};

inline Var add(const Var& a, const Var& b) { return apply(Add{}, a, b); }

}  // namespace exciton::ops
