/// Everything about a Squeeze-and-Excitation block that a recipe can choose.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace exciton::nn {

/// Defaults are the paper's and its released models': reduction 16, average squeeze, sigmoid gate,
/// biases in both layers, after the last batch norm of the branch and before the sum.
struct SESpec {
  bool enabled = false;
  std::int64_t reduction = 16;  ///< r: hidden = max(min_width, channels / r). Paper section 6.1
  /// Least number of hidden units. 1 is the literal rule of the paper (16 channels at r = 16 keep
  /// one unit, and the published CIFAR parameter counts have it); timm rounds up to 8.
  std::int64_t min_width = 1;
  /// Biases in both layers: the released models have them, the paper's ablations do not.
  bool bias = true;
  std::string squeeze = "avg";   ///< "avg" or "max" (table 11)
  std::string gate = "sigmoid";  ///< "sigmoid", "tanh" or "relu" (table 12)
  /// "standard"; the other placements of table 14 arrive with the model zoo.
  std::string placement = "standard";

  std::int64_t hidden(std::int64_t channels) const {
    const std::int64_t h = channels / reduction;
    return h < min_width ? min_width : h;
  }
};

}  // namespace exciton::nn
