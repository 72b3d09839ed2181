/// The fully connected layer.
#pragma once
#include <string_view>
#include <vector>

#include "core/operator.hpp"
#include "core/tape.hpp"

namespace exciton::ops {

/// x [N, I], w [O, I], b [O] or absent -> y [N, O] = x w' + b.
/// Backward: dx = dy w, dw = dy' x, db = sum over n of dy.
/// f32 and f64 run in OpenBLAS, cut into row blocks over our threads with each block on one of its
/// own. bf16 x is widened first: y is f32 (as is everything after the last pooling).
/// Errors: ranks, I of x and w, types.
struct Linear {
  static constexpr std::string_view name = "linear";
  struct Saved {
    Tensor x, w;
    DType x_type = DType::f32;
  };
  Tensor forward(Saved& saved, const Tensor& x, const Tensor& w, const Tensor& b) const;
  Grads<3> backward(Saved& saved, Tensor dy, Needs<3> needs) const;
  std::int64_t multiply_adds(const Tensor& y, const Tensor& x, const Tensor& w,
                             const Tensor& b) const;
  static std::vector<Example<Linear>> examples();
};
inline Var linear(const Var& x, const Var& w, const Var& b = {}) {
  return apply(Linear{}, x, w, b);
}

}  // namespace exciton::ops
