/// The loss of box regression (Girshick 2015, "Fast R-CNN", equation 3).
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/arguments.hpp"

namespace exciton::ops {

/// x of any shape, targets t of the same (floating) -> loss [1], f32 for f32 and bf16, f64 for f64:
///   loss = sum over i of l(x[i] - t[i]) / divisor,   l(d) = d^2 / (2 beta)    where |d| < beta
///                                                        = |d| - beta / 2     elsewhere
/// Backward: dx = dloss / divisor times d / beta, or the sign of d. Errors: targets of another
/// shape or type, beta or divisor not above 0.
struct SmoothL1 {
  static constexpr std::string_view name = "smooth_l1";
  Tensor targets;
  double beta = 1, divisor = 1;
  struct Saved {
    Tensor difference;         ///< in the type of the loss
    DType dtype = DType::f32;  ///< of x
  };
  Tensor forward(Saved& saved, const Tensor& x) const;
  Grads<1> backward(Saved& saved, Tensor dloss, Needs<1> needs) const;
  static std::vector<Example<SmoothL1>> examples();
};

inline Var smooth_l1(const Var& x, const Tensor& targets, double beta, double divisor) {
  return apply(SmoothL1{targets, beta, divisor}, x);
}

}  // namespace exciton::ops
