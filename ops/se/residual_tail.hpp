/// The end of a residual branch as one operator: batch norm, SE, shortcut and ReLU in two passes
/// over memory forward and two backward, no more than the tail of a plain residual block.
///
/// Forward. One pass over y gives, for each image n and channel c, A = sum (y - k) and
/// Q = sum (y - k)^2, k[c] being a value of y: about it, no large mean cancels digits.
/// With m = N H W and sums over n:
///   mu = k + sum A / m,   var = sum Q / m - (sum A / m)^2,   r = 1 / sqrt(var + eps),   a = gamma
///   r, v[n,c] = A[n,c] / (H W) + k - mu,   z = a v + beta      (the squeeze of the normalised map)
///   s = excite(z)
/// and one pass writes out = relu(s (a (y - mu) + beta) + shortcut).
///
/// Backward. With g = dout [out > 0], which is also the shortcut's gradient, one pass gives
/// G[n,c] = sum g and P[n,c] = sum g (y - mu). The rest is per image and channel:
///   ds = a P + beta G   -> excite backward -> dz and the gradients of its weights
///   dbeta  = sum over n of (s G + dz)
///   dgamma = sum over n of r (s P + dz v)
/// and one pass writes
///   dy = (a s) g - (a r dgamma / m) (y - mu) + a (dz / (H W) - dbeta / m).
/// Without SE s = 1 and dz = 0. Max squeeze takes the extreme value of y - mu as v and gives its
/// dz to that pixel alone. In evaluation mu and r are constants.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"
#include "exciton/ops/batch_norm.hpp"
#include "exciton/ops/se/excite.hpp"
#include "exciton/ops/se/squeeze.hpp"

namespace exciton::ops {

/// Inputs: y [N, H, W, C], gamma [C], beta [C], shortcut like y or absent, and the excitation's
/// w1 [R, C], b1 [R], w2 [C, R], b2 [C] (all absent: no SE; biases may be absent alone).
/// Errors: as batch_norm, excite and add.
struct ResidualTail {
  static constexpr std::string_view name = "residual_tail";
  BatchNormSpec norm;
  bool relu = true;
  SqueezeKind squeeze = SqueezeKind::avg;
  GateKind gate = GateKind::sigmoid;
  const std::function<void(const Tensor&)>* watch = nullptr;  ///< sees the gates s

  struct Saved {
    Tensor y, out;  ///< out only where the ReLU's mask cannot be recomputed from y
    NormStatistics stats;
    NormAffine norm;
    Tensor squeezed;  ///< v [N, C] (SE only)
    Tensor where;     ///< [N, C] pixel of the extreme value (max squeeze only)
    Tensor gates;     ///< s [N, C] (SE only)
    Excite::Saved excite;
    bool shortcut = false, relu_affine = false;
  };
  Tensor forward(Saved& saved, const Tensor& y, const Tensor& gamma, const Tensor& beta,
                 const Tensor& shortcut, const Tensor& w1, const Tensor& b1, const Tensor& w2,
                 const Tensor& b2) const;
  /// The output once more, from what is saved; only without a shortcut.
  Tensor recompute(const Saved& saved) const;
  Grads<8> backward(Saved& saved, Tensor dout, Needs<8> needs) const {
    return backward_sum(saved, std::move(dout), {}, needs);
  }
  Grads<8> backward_sum(Saved& saved, Tensor dout, Tensor dout2, Needs<8> needs) const;
  std::int64_t multiply_adds(const Tensor& out, const Tensor& y, const Tensor& gamma,
                             const Tensor& beta, const Tensor& shortcut, const Tensor& w1,
                             const Tensor& b1, const Tensor& w2, const Tensor& b2) const;
  static std::string kernel(const Saved&) { return "fused"; }
  static std::vector<Example<ResidualTail>> examples();

  /// The same from the single operators, one after another.
  static Var composed(const ResidualTail& op, const Var& y, const Var& gamma, const Var& beta,
                      const Var& shortcut, const Var& w1, const Var& b1, const Var& w2,
                      const Var& b2);
};

}  // namespace exciton::ops
