/// The two units every residual block is made of. Blocks go through them and compose nothing by
/// hand, so a fused operator behind them serves all models.
#pragma once
#include "nn/layers.hpp"
#include "nn/squeeze_excite.hpp"

namespace exciton::nn {

/// relu(bn(conv(x))), or bn(conv(x)) without relu.
Var conv_norm(Conv2d& conv, BatchNorm& bn, const Var& x, bool relu);

/// relu(se(bn(y)) + shortcut) with y [N, H, W, C] the output of the branch's last convolution and
/// shortcut of the same shape; without the parts that are nullptr, empty or false.
Var residual_tail(BatchNorm& bn, SqueezeExcite* se, const Var& y, const Var& shortcut, bool relu);

}  // namespace exciton::nn
