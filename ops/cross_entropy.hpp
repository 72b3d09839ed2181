/// The classification loss.
#pragma once
#include <string_view>
#include <vector>

#include "core/operator.hpp"
#include "core/tape.hpp"

namespace exciton::ops {

/// logits [N, K], labels [N] i64 (attribute) -> loss [1], the mean over images of
///   -sum over k of t[k] log softmax(logits)[k],   t = (1 - smoothing) onehot + smoothing / K
/// (label smoothing: Szegedy et al. 2016, section 7). The loss is f32 (f64 for f64 logits).
/// Backward: dlogits = dloss (softmax - t) / N.
/// Errors: shapes, a label outside [0, K), smoothing outside [0, 1).
struct CrossEntropy {
  static constexpr std::string_view name = "cross_entropy";
  Tensor labels;
  double smoothing = 0;
  struct Saved {
    Tensor probabilities;  ///< [N, K] in the type of the loss
    DType type = DType::f32;
  };
  Tensor forward(Saved& saved, const Tensor& logits) const;
  Grads<1> backward(Saved& saved, Tensor dloss, Needs<1> needs) const;
  static std::vector<Example<CrossEntropy>> examples();
};
inline Var cross_entropy(const Var& logits, const Tensor& labels, double smoothing = 0) {
  return apply(CrossEntropy{labels, smoothing}, logits);
}

/// Rows of softmax: [N, K] logits -> probabilities of the same shape and f32 (f64 for f64).
Tensor softmax(const Tensor& logits);

}  // namespace exciton::ops
