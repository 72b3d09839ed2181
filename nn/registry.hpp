/// Models by name. A family is one file in nn/models/ that defines
///   void exciton::nn::models::register_<file>(Registry&);
/// and the build calls the functions of all the files it lists: a new model is one file.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "exciton/core/random.hpp"
#include "exciton/nn/module.hpp"
#include "exciton/nn/se_spec.hpp"

namespace exciton::nn {

/// What a recipe can say about a model; each family documents which it reads. Keys of a recipe's
/// "model" object have the same names.
struct ModelOptions {
  std::int64_t classes = 0;  ///< outputs; 0: the family's own (10 for CIFAR, 1000 for ImageNet)
  std::int64_t image_channels = 3;  ///< 3 for colour, 1 for grey
  std::int64_t image_size = 0;  ///< height and width to build for; 0: the family's own. VGG only
                                ///< works at this size, all others at any
  SESpec se{};                  ///< read by names with the prefix se_
  std::string shortcut = "projection";  ///< CIFAR ResNets: "projection" (1x1) or "zero_pad"
  std::string stride_on = "1x1";  ///< bottlenecks: where the stride is, "1x1" (the paper) or "3x3"
  /// Max pools of kernel 3 and stride 2: "ceil" has no padding and rounds the size up (Caffe: the
  /// authors' networks, timm's legacy_seresnet); "padded" pads by 1 and rounds down (torchvision).
  std::string pool = "ceil";
  std::string stem = "";  ///< ImageNet ResNets: "" or "7x7", or "3x3" (stride 2, no pooling)
  /// Networks of nn/models/speednet.cpp: "gelu", "silu" or "relu"; empty: the family's own.
  std::string activation = "";
  /// Of every batch norm: 1 - the share of the running statistics that a step keeps, and what is
  /// added to the variance; 0: the family's own.
  double norm_momentum = 0, norm_eps = 0;
  double dropout = -1;  ///< before the classifier; negative: the family's own
  /// Residual blocks of each stage, for a smaller or larger relative; empty: the family's own.
  std::vector<std::int64_t> blocks = {};
  /// Channels of each stage, for narrower networks (what `exciton prune` writes); empty: the
  /// family's own.
  std::vector<std::int64_t> widths = {};
  /// All models: how Winograd's 3x3 convolutions multiply over bf16 maps, "f32", "bf16" or
  /// "bf16_4x4"; see ops::WinogradProducts.
  std::string winograd = "f32";
};

/// A made model and what its images look like.
struct Model {
  std::string name;
  ModelOptions options;
  std::int64_t image_size = 32;  ///< native height and width
  std::unique_ptr<Module> net;   ///< [N, H, W, C] to logits [N, classes]

  /// Runs it.
  Var operator()(const Var& images) const { return (*net)(images); }
};

class Registry {
 public:
  using Factory = std::function<std::unique_ptr<Module>(const ModelOptions&, Generator& init)>;
  struct Entry {
    std::string name;
    std::int64_t image_size;
    std::int64_t classes;  ///< default number of classes
    bool se;               ///< has SE blocks: the name says so, or it is senet154
    Factory make;
    std::int64_t stages = 0;  ///< of residual blocks, as many as the option `blocks` wants
    bool widths = false;      ///< reads the option `widths`, one for each stage
  };
  /// For families of any size: the entry of a name such as "wrn40_4", or nothing.
  using Pattern = std::function<std::optional<Entry>(const std::string& name)>;
  /// Errors: the name is taken.
  void add(Entry entry);
  void add_pattern(Pattern pattern) { patterns_.push_back(std::move(pattern)); }
  /// The entry of that name, listed or made by a pattern.
  std::optional<Entry> find(const std::string& name) const;
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;
  std::vector<Pattern> patterns_;
};

/// The process's own: all models of the build, in the order of the list, and what was added. Add to
/// it before other threads use the library.
Registry& model_registry();

/// Makes and initialises (He et al. 2015) a model. Errors: an unknown name is answered with the
/// nearest known ones, or all; options a family cannot follow.
Model make_model(const std::string& name, ModelOptions options = {}, std::uint64_t seed = 1);

}  // namespace exciton::nn
