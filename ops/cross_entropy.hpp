/// Softmax cross-entropy with label smoothing, the training loss.
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"

namespace exciton::ops {

/// logits z [N, K], labels [N] i64 -> loss [1], f32 for f32 and bf16 logits, f64 for f64:
///   loss = mean over n of -sum over k of t[n,k] log p[n,k],   p = softmax(z)
///   t[n,k] = (1 - smoothing) [k = label n] + smoothing / K     (Szegedy et al. 2016, section 7)
/// Backward: dz = dloss (p - t) / N.
/// With class weights v [K] (f64, optional; PyTorch's CrossEntropyLoss(weight)):
///   loss = sum over n, k of -v[k] t[n,k] log p[n,k] / sum over n of v[label n]
///   dz[n,k] = dloss (p[n,k] sum over j of v[j] t[n,j] - v[k] t[n,k]) / sum over n of v[label n]
/// Errors: ranks, no rows, a label outside [0, K), smoothing outside [0, 1], weights of another
/// shape or type, or whose sum over the labels is not above 0.
struct CrossEntropy {
  static constexpr std::string_view name = "cross_entropy";
  Tensor labels;
  double smoothing = 0;
  Tensor weights{};

  struct Saved {
    Tensor p;                  ///< [N, K], type of the loss
    DType dtype = DType::f32;  ///< of the logits
  };
  Tensor forward(Saved& saved, const Tensor& logits) const;
  Grads<1> backward(Saved& saved, Tensor dloss, Needs<1> needs) const;
  static std::vector<Example<CrossEntropy>> examples();

  /// Sum over the rows of the weights of their labels; N without weights. Of the whole batch, see
  /// core/group.hpp.
  double total_weight() const;
};

inline Var cross_entropy(const Var& logits, const Tensor& labels, double smoothing = 0,
                         const Tensor& weights = {}) {
  return apply(CrossEntropy{labels, smoothing, weights}, logits);
}

/// Softmax of every row: logits [N, K] -> probabilities [N, K], f32 (f64 for f64 logits).
Tensor softmax(const Tensor& logits);

}  // namespace exciton::ops
