/// The two units every residual block is made of. Blocks go through them and compose nothing by
/// hand, so a fused operator behind them serves all models.
#pragma once
#include "exciton/nn/layers.hpp"
#include "exciton/nn/squeeze_excite.hpp"

namespace exciton::nn {

/// relu(se(bn(conv(x))) + shortcut), shortcut of the result's shape; without the parts that are
/// nullptr, empty or false. In training, and wherever a tape records, one fused operator does all
/// behind the convolution (ops/se/residual_tail.hpp), but for NoSqueeze, the variants of SE and
/// tapped units, which are composed. In evaluation, where nothing is recorded, the norm is folded
/// into the convolution (ops/folded_conv.hpp). With set_fused(false): the single operators, one
/// after another.
Var conv_norm(Conv2d& conv, BatchNorm& bn, const Var& x, bool relu, ChannelAttention* se = nullptr,
              const Var& shortcut = {});

/// conv(relu(se(bn(y)))), y the output of the convolution before, without se where it is nullptr.
/// For branches that forget the map between both (Recompute::tail): one operator where the form
/// allows (ops/norm_relu_conv.hpp), else composed.
Var norm_relu_conv(BatchNorm& bn, ChannelAttention* se, const Var& y, Conv2d& conv);
/// relu(se(bn(y)) + shortcut), the end of such a branch; as conv_norm behind its convolution.
Var residual_tail(BatchNorm& bn, ChannelAttention* se, const Var& y, const Var& shortcut,
                  bool relu);
/// Whether a block's branch is to be made of these: in training, on a tape, with
/// Recompute::tail.
bool forgets_tails(const Module& block);

/// relu(bn(x)), the start of a pre-activation branch.
Var norm_relu(BatchNorm& bn, const Var& x);

}  // namespace exciton::nn
