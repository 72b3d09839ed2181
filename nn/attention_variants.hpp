/// Variants of SE, drop-in replacements in every block that has SE (recipe key model.se.kind). Each
/// reweights x [N, H, W, C] by gates s [N, C]: y[n,h,w,c] = x[n,h,w,c] s[n,c].
#pragma once
#include <string_view>

#include "exciton/nn/attention.hpp"

namespace exciton::nn {

/// ECA: s = sigmoid(conv1d(mean x)), one filter of k weights that slides over the channels.
/// k is the odd number next to |(log2 C + 1) / 2|, rounded down and then up to odd, as in the
/// authors' code. Wang, Wu, Zhu, Li, Zuo, Hu: ECA-Net, CVPR 2020, arXiv 1910.03151, eq. 9 and 12.
class EfficientAttention final : public ChannelAttention {
 public:
  EfficientAttention(std::int64_t channels, Generator& init);
  std::string_view kind() const override { return "EfficientAttention"; }
  void visit(Visitor& v) override;
  Var gates(const Var& x) override;
  Parameter weight;  ///< [k]
};

/// GE-theta-minus with global extent, without parameters: s = sigmoid(mean x).
/// Hu, Shen, Albanie, Sun, Vedaldi: Gather-Excite, NeurIPS 2018, arXiv 1810.12348, section 3.1.
class GatherExcite final : public ChannelAttention {
 public:
  std::string_view kind() const override { return "GatherExcite"; }
  Var gates(const Var& x) override;
};

/// eSE, SE with a single layer and hence without a bottleneck: s = hard_sigmoid(W mean x + b).
/// Lee, Park: CenterMask, CVPR 2020, arXiv 1911.06667, eq. 3 (hard sigmoid as in their code).
class EffectiveSqueezeExcite final : public ChannelAttention {
 public:
  EffectiveSqueezeExcite(std::int64_t channels, bool bias, Generator& init);
  std::string_view kind() const override { return "EffectiveSqueezeExcite"; }
  void visit(Visitor& v) override;
  Var gates(const Var& x) override;
  Parameter weight, bias;  ///< [C, C] and [C]; bias may be empty
};

/// The channel part of CBAM: average and maximum through the same two layers,
///   s = sigmoid(f(mean x) + f(max x)),  f(z) = W2 relu(W1 z + b1) + b2,
/// with spec.hidden(C) hidden units and biases as spec.bias says.
/// Woo, Park, Lee, Kweon: CBAM, ECCV 2018, arXiv 1807.06521, eq. 2.
class CbamChannelAttention final : public ChannelAttention {
 public:
  CbamChannelAttention(std::int64_t channels, const SESpec& spec, Generator& init);
  std::string_view kind() const override { return "CbamChannelAttention"; }
  void visit(Visitor& v) override;
  Var gates(const Var& x) override;
  Parameter reduce_weight, reduce_bias, expand_weight, expand_bias;

 private:
  Var mixed(const Var& z);
};

/// Registers them: "eca", "ge", "ese" and "cbam". Errors of making one: a squeeze or gate other
/// than the default, for each has its own; placement or stages not yet decided.
void register_variants(AttentionRegistry& registry);

}  // namespace exciton::nn
