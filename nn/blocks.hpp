/// Residual blocks (He et al. 2016 fig. 5, and 2016b, "Identity Mappings", fig. 1b), each plain or
/// with SE at any of the paper's places.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "exciton/nn/attention.hpp"
#include "exciton/nn/branch.hpp"

namespace exciton::nn {

/// Where the shape changes (in != out or stride > 1) the shortcut must, too.
struct ShortcutSpec {
  std::int64_t in = 0, out = 0, stride = 1;
  /// "projection": a convolution and batch norm (option B of He et al.);
  /// "zero_pad": every stride-th pixel and new channels of zeros, without parameters (option A).
  std::string kind = "projection";
  std::int64_t kernel = 1;  ///< projection: 1, or 3 where the stride is 2 (SENet-154)
  bool norm = true;         ///< projection: with its batch norm; pre-activation nets have none
};

/// nullptr where the identity fits. Errors: an unknown kind.
std::unique_ptr<Module> make_shortcut(const ShortcutSpec& spec, Generator& init);

/// The SE unit of a residual block, or one of its variants, and its place. Blocks ask for it at
/// every place and get it at one.
class PlacedSE {
 public:
  using Place = Placement;
  /// Channels of what comes in, of the 3x3 convolution, and of what goes out.
  struct Channels {
    std::int64_t in, inner, out;
  };
  /// Errors: an unknown placement; as make_attention.
  PlacedSE(const SESpec& spec, const Channels& channels, Generator& init);
  /// The unit if it is there, else nullptr.
  ChannelAttention* at(Place place) const { return place_ == place ? unit_.get() : nullptr; }
  /// x through the unit if it is there, else x.
  Var through(Place place, const Var& x) const { return at(place) ? (*unit_)(x) : x; }
  void visit(Visitor& v) {
    if (unit_) v("se", *unit_);
  }

 private:
  Place place_;
  std::unique_ptr<ChannelAttention> unit_;
};

struct BlockOptions {
  std::int64_t in = 0;     ///< channels that come
  std::int64_t width = 0;  ///< channels of the 3x3 convolutions
  std::int64_t stride = 1;
  SESpec se{};
  std::string shortcut = "projection";
  // Bottlenecks only from here.
  /// "1x1": the first convolution strides, as in the paper's ResNets (and the authors' prototxt);
  /// "3x3": the second, as in torchvision and ResNeXt.
  std::string stride_on = "1x1";
  std::int64_t first = 0;            ///< channels of the first 1x1 convolution; 0: width
  std::int64_t out = 0;              ///< channels that go; 0: expansion * width
  std::int64_t groups = 1;           ///< of the 3x3 convolution
  std::int64_t shortcut_kernel = 1;  ///< see ShortcutSpec
};

/// conv3x3 - bn - relu - conv3x3 - bn - [se] - + shortcut - relu
/// Other places: "pre" before the first convolution; "post" after the last ReLU; "identity" on the
/// shortcut; "conv3x3" behind the first batch norm, before its ReLU.
class BasicBlock final : public Module {
 public:
  static constexpr std::int64_t expansion = 1;
  BasicBlock(const BlockOptions& options, Generator& init);
  std::string_view kind() const override { return "BasicBlock"; }
  bool repeats() const override { return true; }
  void visit(Visitor& v) override;

  Conv2d conv1;
  BatchNorm bn1;
  Conv2d conv2;
  BatchNorm bn2;
  PlacedSE se;
  std::unique_ptr<Module> shortcut;  ///< nullptr is the identity

 protected:
  Var forward(const Var& x) override;
};

/// conv1x1 - bn - relu - conv3x3 - bn - relu - conv1x1 - bn - [se] - + shortcut - relu
/// Other places as in BasicBlock, "conv3x3" behind the second batch norm, before its ReLU (SE_3x3;
/// the paper says "directly after the 3x3 convolution", we keep the norm as everywhere else).
class Bottleneck final : public Module {
 public:
  static constexpr std::int64_t expansion = 4;
  Bottleneck(const BlockOptions& options, Generator& init);
  std::string_view kind() const override { return "Bottleneck"; }
  bool repeats() const override { return true; }
  void visit(Visitor& v) override;

  Conv2d conv1;
  BatchNorm bn1;
  Conv2d conv2;
  BatchNorm bn2;
  Conv2d conv3;
  BatchNorm bn3;
  PlacedSE se;
  std::unique_ptr<Module> shortcut;

 protected:
  Var forward(const Var& x) override;
};

/// bn - relu = h,  conv3x3 h - bn - relu - conv3x3 - [se] - + shortcut
/// The shortcut is x, or where the shape changes a projection of h without a norm, as in the
/// authors' resnet-1k-layers. The paper does not say where SE sits in such a block: on the branch,
/// before the sum, here. Other places: "pre" before the first norm (a projection then reads the
/// scaled h, too); "post" after the sum; "identity" on the shortcut; "conv3x3" behind the first
/// convolution.
class PreActBasicBlock final : public Module {
 public:
  static constexpr std::int64_t expansion = 1;
  PreActBasicBlock(const BlockOptions& options, Generator& init);
  std::string_view kind() const override { return "PreActBasicBlock"; }
  bool repeats() const override { return true; }
  void visit(Visitor& v) override;

  BatchNorm bn1;
  Conv2d conv1;
  BatchNorm bn2;
  Conv2d conv2;
  PlacedSE se;
  std::unique_ptr<Module> shortcut;

 protected:
  Var forward(const Var& x) override;
};

/// bn - relu = h,  conv1x1 h - bn - relu - conv3x3 - bn - relu - conv1x1 - [se] - + shortcut
/// Shortcut and places as in PreActBasicBlock, "conv3x3" behind the second convolution.
class PreActBottleneck final : public Module {
 public:
  static constexpr std::int64_t expansion = 4;
  PreActBottleneck(const BlockOptions& options, Generator& init);
  std::string_view kind() const override { return "PreActBottleneck"; }
  bool repeats() const override { return true; }
  void visit(Visitor& v) override;

  BatchNorm bn1;
  Conv2d conv1;
  BatchNorm bn2;
  Conv2d conv2;
  BatchNorm bn3;
  Conv2d conv3;
  PlacedSE se;
  std::unique_ptr<Module> shortcut;

 protected:
  Var forward(const Var& x) override;
};

/// Blocks of a stage (0 is the first): the option's, or the family's own.
inline std::int64_t blocks_of(const std::vector<std::int64_t>& option, std::size_t stage,
                              std::int64_t own) {
  return option.empty() ? own : option[stage];
}

/// Channels that go out of a block.
template <class Block>
std::int64_t channels_out(const BlockOptions& o) {
  return o.out > 0 ? o.out : Block::expansion * o.width;
}

/// A stage: `count` blocks, the first as `options` say, the others from its channels and with
/// stride 1.
template <class Block>
std::vector<Block> make_stage(std::int64_t count, BlockOptions options, Generator& init) {
  std::vector<Block> blocks;
  for (std::int64_t i = 0; i < count; ++i) {
    blocks.emplace_back(options, init);
    options.in = channels_out<Block>(options);
    options.stride = 1;
  }
  return blocks;
}

}  // namespace exciton::nn
