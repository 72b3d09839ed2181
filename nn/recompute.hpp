/// Trading time for memory: feature maps that training forgets and computes again (gradient
/// checkpointing, Chen et al. 2016, arXiv 1604.06174).
#pragma once
#include <string_view>

#include "exciton/nn/module.hpp"

namespace exciton::nn {

/// What a training step computes twice.
///   none   nothing: every operator keeps what its backward needs
///   tail   relu(bn(y)) between two convolutions of a residual block: one pass over y writes it
///          again when the second convolution's backward wants it
///   block  all within a block: only its input is kept, and its forward runs again in backward
Recompute parse_recompute(std::string_view text);  ///< Errors: another word.

/// Chooses for the module and all below it. Blocks are modules whose repeats() is true; networks
/// without any are not changed. Gradients stay the same up to rounding, running statistics and
/// random streams the same bit for bit.
void set_recompute(Module& module, Recompute recompute);

/// block(x), of which the active tape keeps x alone. What the block's buffers hold (running
/// statistics, random streams) is put back to where the first run began while the second one runs.
/// `x` must lead to a leaf, so not be the network's input.
Var recomputed(Module& block, const Var& x);

}  // namespace exciton::nn
