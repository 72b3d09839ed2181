/// Everything about a Squeeze-and-Excitation block that a recipe can choose.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "exciton/core/named_registry.hpp"

namespace exciton::nn {

/// The closed sets that SESpec names values of.
enum class Squeeze { avg, max, none };
enum class Placement { standard, pre, post, identity, conv3x3 };
inline constexpr NameTable<Squeeze, 3> squeeze_names{
    "se.squeeze", {{{Squeeze::avg, "avg"}, {Squeeze::max, "max"}, {Squeeze::none, "none"}}}};
inline constexpr NameTable<Placement, 5> placement_names{"se.placement",
                                                         {{{Placement::standard, "standard"},
                                                           {Placement::pre, "pre"},
                                                           {Placement::post, "post"},
                                                           {Placement::identity, "identity"},
                                                           {Placement::conv3x3, "conv3x3"}}}};

/// Defaults are the paper's and its released models': reduction 16, average squeeze, sigmoid gate,
/// biases in both layers, after the last batch norm of the branch and before the sum.
struct SESpec {
  bool enabled = false;
  std::int64_t reduction = 16;  ///< r: hidden = max(min_width, channels / r). Section 6.1
  /// Least number of hidden units. 1 is the literal rule of the paper (16 channels at r = 16 keep
  /// one unit, and the published CIFAR parameter counts have it); timm rounds up to 8.
  std::int64_t min_width = 1;
  /// Hidden units are a multiple of this, at least one and else the nearest (timm: 8; its
  /// make_divisible without a limit).
  std::int64_t divisor = 1;
  /// Biases in both layers: the released models have them, the paper's ablations do not.
  bool bias = true;
  /// "avg" or "max" (table 11); "none" is NoSqueeze (table 16): the two layers become 1x1
  /// convolutions over the map, and every pixel has gates of its own.
  std::string squeeze = "avg";
  std::string gate = "sigmoid";  ///< "sigmoid", "tanh" or "relu" (table 12), or "hard_sigmoid"
  /// The unit reads and scales relu(x) (timm's legacy_seresnet18 and 34, whose blocks have a ReLU
  /// between their last batch norm and SE).
  bool input_relu = false;
  /// Where the unit sits in a residual block (tables 14 and 15); each block says what that means:
  ///   "standard"  on the branch, before the sum
  ///   "pre"       on what enters the branch; the shortcut sees the input as it came
  ///   "post"      on the block's result, after the sum and its ReLU
  ///   "identity"  on the shortcut, after its projection if it has one
  ///   "conv3x3"   inside the branch, behind the 3x3 convolution (the first, if there are two)
  std::string placement = "standard";
  /// The stages that get SE; empty: all. Numbers are the paper's, conv2_x is stage 2: an ImageNet
  /// network has stages 2 to 5, a CIFAR network 2 to 4 (conv1 is the stem in both).
  std::vector<std::int64_t> stages = {};
  /// r of each stage, conv2_x first; empty: `reduction` in all.
  std::vector<std::int64_t> stage_reductions = {};
  /// A name of nn/attention.hpp: "se", or one of its variants, "eca", "ge", "ese", "cbam".
  std::string kind = "se";

  /// R for maps of so many channels. Errors: reduction, min_width or divisor below 1.
  std::int64_t hidden(std::int64_t channels) const;
  /// What holds in one stage (2 is conv2_x) of a network that has `count` stages: enabled or not,
  /// its reduction, and no lists. Errors: stages the network has not, a list of another length.
  SESpec in_stage(std::int64_t stage, std::int64_t count) const;
};

}  // namespace exciton::nn
