/// Cross-entropy of yes-or-no questions, from logits.
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/arguments.hpp"

namespace exciton::ops {

/// logits z of any shape, targets t of the same (floating, in [0, 1]) -> loss [1], f32 for f32 and
/// bf16 logits, f64 for f64:
///   loss = -sum over i of t[i] log s(z[i]) + (1 - t[i]) log(1 - s(z[i])) / divisor,
///   s(z) = 1 / (1 + exp(-z))         (PyTorch's binary_cross_entropy_with_logits)
/// Backward: dz = dloss (s(z) - t) / divisor. Errors: targets of another shape or type or outside
/// [0, 1], a divisor that is not above 0.
struct BinaryCrossEntropy {
  static constexpr std::string_view name = "binary_cross_entropy";
  Tensor targets;
  double divisor = 1;
  struct Saved {
    Tensor z;                  ///< in the type of the loss
    DType dtype = DType::f32;  ///< of the logits
  };
  Tensor forward(Saved& saved, const Tensor& logits) const;
  Grads<1> backward(Saved& saved, Tensor dloss, Needs<1> needs) const;
  static std::vector<Example<BinaryCrossEntropy>> examples();
};

inline Var binary_cross_entropy(const Var& logits, const Tensor& targets, double divisor) {
  return apply(BinaryCrossEntropy{targets, divisor}, logits);
}

}  // namespace exciton::ops
