/// The two units every residual block is made of. Blocks go through them and compose nothing by
/// hand, so a fused operator behind them serves all models.
#pragma once
#include "nn/layers.hpp"
#include "nn/squeeze_excite.hpp"

namespace exciton::nn {

/// relu(se(bn(conv(x)))), without the parts that are nullptr or false.
Var conv_norm(Conv2d& conv, BatchNorm& bn, const Var& x, bool relu, ChannelAttention* se = nullptr);

/// relu(se(bn(y)) + shortcut) with y [N, H, W, C] the output of the branch's last convolution and
/// shortcut of the same shape; without the parts that are nullptr, empty or false. One fused
/// operator, but for NoSqueeze, the kin of SE and tapped units, which are composed.
Var residual_tail(BatchNorm& bn, ChannelAttention* se, const Var& y, const Var& shortcut,
                  bool relu);

/// relu(bn(x)), the start of a pre-activation branch.
Var norm_relu(BatchNorm& bn, const Var& x);

}  // namespace exciton::nn
