/// Residual blocks (He et al. 2016, fig. 5), each plain or with SE on the branch, before the sum.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "nn/residual.hpp"

namespace exciton::nn {

/// Where the shape changes (in != out or stride > 1) the shortcut must, too.
struct ShortcutSpec {
  std::int64_t in = 0, out = 0, stride = 1;
  /// "projection": 1x1 convolution and batch norm (option B of He et al.);
  /// "zero_pad": every stride-th pixel and new channels of zeros, without parameters (option A).
  std::string kind = "projection";
};

/// nullptr where the identity fits. Errors: an unknown kind.
std::unique_ptr<Module> make_shortcut(const ShortcutSpec& spec, Generator& init);

struct BlockOptions {
  std::int64_t in = 0;  ///< channels that come
  std::int64_t width =
      0;  ///< channels of the 3x3 convolutions; the block returns expansion * width
  std::int64_t stride = 1;
  SESpec se{};
  std::string shortcut = "projection";
  /// Bottleneck only. "1x1": the first convolution strides, as in the paper's ResNets (and the
  /// authors' prototxt); "3x3": the second, as in torchvision and ResNeXt.
  std::string stride_on = "1x1";
};

/// conv3x3 - bn - relu - conv3x3 - bn - [se] - + shortcut - relu
class BasicBlock final : public Module {
 public:
  static constexpr std::int64_t expansion = 1;
  BasicBlock(const BlockOptions& options, Generator& init);
  std::string_view kind() const override { return "BasicBlock"; }
  void visit(Visitor& v) override;

  Conv2d conv1;
  BatchNorm bn1;
  Conv2d conv2;
  BatchNorm bn2;
  std::unique_ptr<SqueezeExcite> se;  ///< nullptr in plain blocks
  std::unique_ptr<Module> shortcut;   ///< nullptr is the identity

 protected:
  Var forward(const Var& x) override;
};

/// conv1x1 - bn - relu - conv3x3 - bn - relu - conv1x1 to 4 width - bn - [se] - + shortcut - relu
class Bottleneck final : public Module {
 public:
  static constexpr std::int64_t expansion = 4;
  Bottleneck(const BlockOptions& options, Generator& init);
  std::string_view kind() const override { return "Bottleneck"; }
  void visit(Visitor& v) override;

  Conv2d conv1;
  BatchNorm bn1;
  Conv2d conv2;
  BatchNorm bn2;
  Conv2d conv3;
  BatchNorm bn3;
  std::unique_ptr<SqueezeExcite> se;
  std::unique_ptr<Module> shortcut;

 protected:
  Var forward(const Var& x) override;
};

}  // namespace exciton::nn
