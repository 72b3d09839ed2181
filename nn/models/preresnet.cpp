/// Pre-activation ResNets for CIFAR (He et al. 2016b, "Identity Mappings in Deep Residual
/// Networks"), the ResNet-110 and -164 of the SENet paper's tables 4 and 5, plain and with SE:
///   conv3x3 16 - 3 stages - bn - relu - mean - fc
/// preresnet110: 18 basic blocks per stage (depth = 6 n + 2; also 20 and 56); preresnet164: 18
/// bottlenecks (depth = 9 n + 2). Widths 16, 32, 64, stages 2 and 3 start with stride 2; they are 3
/// and 4 in se.stages. Where SE sits is in nn/blocks.hpp.
/// Options: classes (10), image_channels, se, shortcut, blocks, dropout (0), stride_on
/// (preresnet164).
#include "exciton/nn/models/staged.hpp"

namespace exciton::nn::models {
namespace {

template <class Block>
Registry::Factory maker(std::int64_t blocks) {
  return [blocks](const ModelOptions& o, Generator& init) {
    return make_residual<Block>({.kind = "PreResNet",
                                 .stem = {{16}},
                                 .stem_norm = false,
                                 .last_norm = true,
                                 .features = 64 * Block::expansion},
                                {blocks, blocks, blocks}, o, init, [&](std::size_t stage) {
                                  return BlockOptions{.width = 16 << stage,
                                                      .stride_on = o.stride_on};
                                });
  };
}

}  // namespace

void register_preresnet(Registry& registry) {
  for (const int depth : {20, 56, 110, 164}) {
    const bool bottlenecks = depth == 164;
    add_with_se(registry,
                cifar("preresnet" + std::to_string(depth),
                      bottlenecks ? maker<PreActBottleneck>((depth - 2) / 9)
                                  : maker<PreActBasicBlock>((depth - 2) / 6),
                      3),
                {.shortcut = true, .stride_on = bottlenecks});
  }
}

}  // namespace exciton::nn::models
