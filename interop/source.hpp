/// Where weights come from: libraries, and those of their networks that can be had here. Names and
/// shapes alone do not tell: torchvision's and Caffe's ResNet-50 have the same ones, and pool and
/// stride at other places. docs/weights.md has the table, with what was verified.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "exciton/interop/layout.hpp"
#include "exciton/nn/registry.hpp"

namespace exciton::interop {

/// Mean and deviation a channel, RGB in [0, 1].
struct Normalization {
  std::vector<double> mean, std;
  bool operator==(const Normalization&) const = default;
};

struct Source {
  std::string name;          ///< "timm/seresnet50"
  std::string model;         ///< the network here, "se_resnet50"
  nn::ModelOptions options;  ///< by which it computes the same
  Naming naming;
  std::optional<Normalization> normalization;  ///< nothing: its library has no usual one
  std::string classes;  ///< their order: "ImageNet's, sorted by WordNet number", "CIFAR-10's"
  std::string cannot;   ///< why its network cannot be had here; "" where it can
};

/// All of them, in the order of the table.
const std::vector<Source>& sources();
/// The source of that name. Errors: none; it lists the nearest.
const Source& source(std::string_view name);
/// Our own names; every model has it.
Source own_source(std::string model, nn::ModelOptions options);

/// A naming of the user's, from a JSON file:
///   {"rename": [["^stage(\\d)\\.", "layer$1."], ...], "gates_as_convolutions": true,
///    "flipped_input": false, "convolution_biases": false}
/// rename: regular expressions (ECMAScript) and replacements, applied in order to our names.
/// Errors: unreadable, unknown keys, an expression that is none.
Naming read_rules(const std::filesystem::path& path);

/// Every option that decides what is computed and is not the default, as a recipe has it:
/// "pool=padded stride_on=3x3 se.gate=tanh". Not the numbers of classes and channels, the image's
/// size and dropout.
std::string options_text(const nn::ModelOptions& options);

}  // namespace exciton::interop
