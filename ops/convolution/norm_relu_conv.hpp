/// Batch norm, SE, ReLU and the next convolution as one operator that forgets the map between them.
#pragma once
#include <string_view>
#include <vector>

#include "exciton/ops/convolution/conv2d.hpp"
#include "exciton/ops/se/residual_tail.hpp"

namespace exciton::ops {

/// out = conv(h),  h = relu(excite(squeeze(bn(y))) bn(y)): a residual_tail without a shortcut and
/// the conv2d behind it. Both keep their input for backward, and h is a function of y; here only y
/// is kept, and backward writes h again in one pass, for the weight gradient alone. Half of the
/// maps within a residual block need not be stored (nn/branch.hpp). Inputs: y [N, H, W,
/// C], gamma [C], beta [C], the excitation's w1, b1, w2, b2 as residual_tail, weight [O, C/groups,
/// kH, kW]. Errors: as residual_tail and conv2d.
struct NormReluConv {
  static constexpr std::string_view name = "norm_relu_conv";
  ResidualTail tail;
  Conv2d conv;

  struct Saved {
    ResidualTail::Saved tail;
    Tensor weight;
    std::array<ConvKernel, 3> ran{};
  };
  Tensor forward(Saved& saved, const Tensor& y, const Tensor& gamma, const Tensor& beta,
                 const Tensor& w1, const Tensor& b1, const Tensor& w2, const Tensor& b2,
                 const Tensor& weight) const;
  Grads<8> backward(Saved& saved, Tensor dout, Needs<8> needs) const;
  std::int64_t multiply_adds(const Tensor& out, const Tensor& y, const Tensor& gamma,
                             const Tensor& beta, const Tensor& w1, const Tensor& b1,
                             const Tensor& w2, const Tensor& b2, const Tensor& weight) const;
  static std::string kernel(const Saved& saved) {
    return "recomputed, " + Conv2d::kernel({.ran = saved.ran});
  }
  static std::vector<Example<NormReluConv>> examples();

  /// The same from the single operators, one after another.
  static Var composed(const NormReluConv& op, const Var& y, const Var& gamma, const Var& beta,
                      const Var& w1, const Var& b1, const Var& w2, const Var& b2,
                      const Var& weight);
};

}  // namespace exciton::ops
