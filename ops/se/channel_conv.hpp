/// One small filter over the channels: ECA's excitation.
#pragma once
#include <string_view>
#include <vector>

#include "exciton/core/operator.hpp"
#include "exciton/core/tape.hpp"

namespace exciton::ops {

/// z [N, C], w [k] with k odd -> y [N, C], the correlation along the channels,
///   y[n,c] = sum over j of w[j] z[n, c + j - (k - 1) / 2],  zeros beyond the ends.
/// Backward: dz[n,c] = sum over j of w[j] dy[n, c - j + (k - 1) / 2];
///           dw[j] = sum over n, c of dy[n,c] z[n, c + j - (k - 1) / 2].
/// Wang et al. 2020, ECA-Net (arXiv 1910.03151), eq. 9. w is f32 beside f32 and bf16 z, f64 beside
/// f64. Errors: ranks, an even k.
struct ChannelConv {
  static constexpr std::string_view name = "channel_conv";
  struct Saved {
    Tensor z, w;
  };
  Tensor forward(Saved& saved, const Tensor& z, const Tensor& w) const;
  Grads<2> backward(Saved& saved, Tensor dy, Needs<2> needs) const;
  std::int64_t multiply_adds(const Tensor& y, const Tensor& z, const Tensor& w) const;
  static std::vector<Example<ChannelConv>> examples();
};

inline Var channel_conv(const Var& z, const Var& w) { return apply(ChannelConv{}, z, w); }

}  // namespace exciton::ops
