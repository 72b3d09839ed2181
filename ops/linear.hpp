/// Fully connected layer.
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"

namespace exciton::ops {

/// x [N, I], w [O, I], b [O] or absent -> y [N, O] with y[n,o] = b[o] + sum over i of x[n,i] w[o,i]
/// y is f32 for f32 and bf16 x (weights f32), f64 for f64.
/// Backward: dx = dy w, dw = dy' x, db = sum over n of dy.
/// f32 runs on the products of ops/matrix_product.hpp, f64 on the plain twin. Errors: ranks, sizes
/// or types that do not fit.
struct Linear {
  static constexpr std::string_view name = "linear";
  bool plain = false;  ///< run the plain twin in any type

  struct Saved {
    Tensor x, w;
    DType dtype = DType::f32;  ///< of x as it came; saved.x is in the type of w
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
