/// The CIFAR ResNets of He et al. 2016, section 4.2, plain and with SE on every block:
///   conv3x3 16 - bn - relu - 3 stages of n basic blocks with 16, 32, 64 channels - mean - fc
/// depth = 6 n + 2: resnet20, 32, 44, 56, 110; and resnet164, n = 18 bottlenecks per stage
/// (depth = 9 n + 2) that return four times those channels. Stages 2 and 3 start with stride 2.
/// stage1 to stage3 are 2 to 4 in se.stages, counted as in the paper with conv1 as the first.
/// Options: classes (10), image_channels, se, shortcut, blocks, dropout (0), stride_on (resnet164),
/// and except for resnet164 widths (16, 32, 64; the stem has the first).
///   shortcut: "projection" (1x1 convolution, the default: the published SE counts have it), or
///   "zero_pad", the parameter-free one of He et al.
#include "exciton/nn/models/staged.hpp"

namespace exciton::nn::models {
namespace {

template <class Block>
Registry::Factory maker(std::int64_t blocks) {
  return [blocks](const ModelOptions& o, Generator& init) {
    const auto width = [&](std::size_t stage) {
      return o.widths.empty() ? std::int64_t{16} << stage : o.widths[stage];
    };
    return make_residual<Block>(
        {.kind = "CifarResNet", .stem = {{width(0)}}, .features = width(2) * Block::expansion},
        {blocks, blocks, blocks}, o, init, [&](std::size_t stage) {
          return BlockOptions{.width = width(stage), .stride_on = o.stride_on};
        });
  };
}

}  // namespace

void register_cifar_resnet(Registry& registry) {
  for (const int depth : {20, 32, 44, 56, 110, 164}) {
    const bool bottlenecks = depth == 164;
    Registry::Entry entry = cifar(
        "resnet" + std::to_string(depth),
        bottlenecks ? maker<Bottleneck>((depth - 2) / 9) : maker<BasicBlock>((depth - 2) / 6), 3);
    entry.widths = !bottlenecks;
    add_with_se(registry, entry, {.shortcut = true, .stride_on = bottlenecks});
  }
}

}  // namespace exciton::nn::models
