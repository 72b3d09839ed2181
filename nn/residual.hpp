/// The two units every residual block is made of. Blocks go through them and compose nothing by
/// hand, so a fused operator behind them serves all models.
#pragma once
#include "nn/layers.hpp"
#include "nn/squeeze_excite.hpp"

namespace exciton::nn {

/// relu(se(bn(conv(x))) + shortcut), shortcut of the result's shape; without the parts that are
/// nullptr, empty or false. In training, and wherever a tape records, one fused operator does all
/// behind the convolution (ops/se/residual_tail.hpp), but for NoSqueeze, the kin of SE and tapped
/// units, which are composed. In evaluation without a tape the norm is folded into the convolution
/// (ops/folded_conv.hpp). With set_fused(false): the single operators, one after another.
Var conv_norm(Conv2d& conv, BatchNorm& bn, const Var& x, bool relu, ChannelAttention* se = nullptr,
              const Var& shortcut = {});

/// relu(bn(x)), the start of a pre-activation branch.
Var norm_relu(BatchNorm& bn, const Var& x);

}  // namespace exciton::nn
