/// Networks whose stages can be seen one by one.
#pragma once
#include <cstdint>
#include <vector>

#include "exciton/core/var.hpp"

namespace exciton::nn {

/// What a network in stages offers to those who read more than its end, such as feature pyramids:
/// find it with a dynamic_cast of the module.
class StageMaps {
 public:
  virtual ~StageMaps() = default;
  /// Images [N, H, W, C] -> the map behind each stage, the finest first; the last one with the norm
  /// and ReLU that end the stages, where the network has them.
  virtual std::vector<Var> stage_maps(const Var& images) = 0;
  /// Channels of each of them.
  virtual std::vector<std::int64_t> stage_channels() const = 0;
  /// Takes the classifier away: the parameters are those of stem and stages, and the network can
  /// classify no more.
  virtual void drop_head() = 0;
};

}  // namespace exciton::nn
