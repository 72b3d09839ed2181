/// What the families in nn/models/ share.
#pragma once
#include "exciton/nn/registry.hpp"

namespace exciton::nn::models {

/// Calls register_<file> of every file in EXCITON_MODELS (nn/CMakeLists.txt), in that order.
void register_all(Registry& registry);

/// For families other than ResNets: an option that would be skipped is an error.
inline void refuse_residual_options(const std::string& name, const ModelOptions& o) {
  const ModelOptions own;
  check(o.shortcut == own.shortcut && o.stride_on == own.stride_on && o.stem == own.stem, name,
        ": shortcut, stride_on and stem are options of ResNets; leave them out");
}

}  // namespace exciton::nn::models
