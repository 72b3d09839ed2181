/// Trading time for memory: feature maps that training forgets and computes again (gradient
/// checkpointing, Chen et al. 2016, arXiv 1604.06174).
#pragma once
#include "exciton/core/named_registry.hpp"
#include "exciton/nn/module.hpp"

namespace exciton::nn {

/// What a training step computes twice, beside relu(bn(y)) between two convolutions, which every
/// branch writes again in one pass (nn/branch.hpp, Path::recomputed).
///   none   nothing: every operator keeps what its backward needs
///   block  all within a block: only its input is kept, and its forward runs again in backward
/// "tail" is what older recipes say for none: that pass was once a choice.
inline constexpr NameTable<Recompute, 3> recompute_names{
    "recompute",
    {{{Recompute::none, "none"}, {Recompute::none, "tail"}, {Recompute::block, "block"}}}};

/// Chooses for the module and all below it. Gradients stay the same up to rounding, running
/// statistics and random streams the same bit for bit. Errors: no module of it can save memory so
/// (Module::recomputes).
void set_recompute(Module& module, Recompute recompute);

/// block(x), of which the active tape keeps x alone. What the block's buffers hold (running
/// statistics, random streams) is put back to where the first run began while the second one runs.
/// `x` must lead to a leaf, so not be the network's input.
Var recomputed(Module& block, const Var& x);

}  // namespace exciton::nn
