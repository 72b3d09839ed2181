/// What the families in nn/models/ share.
#pragma once
#include "nn/registry.hpp"

namespace exciton::nn::models {

/// Calls register_<file> of every file in EXCITON_MODELS (nn/CMakeLists.txt), in that order.
void register_all(Registry& registry);

}  // namespace exciton::nn::models
