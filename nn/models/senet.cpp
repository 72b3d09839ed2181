/// SENet-154 (SENet paper, appendix; the authors' prototxt): a modified 64x4d ResNeXt-152 with SE,
///   conv3x3 64 stride 2, conv3x3 64, conv3x3 128, each with bn - relu - max pool 3x3 stride 2 -
///   4 stages of 3, 8, 36, 3 bottlenecks - mean - dropout 0.2 - fc
/// A bottleneck's 3x3 convolution has 64 groups of 4 channels in stage1, twice as many in each
/// later one; its first 1x1 convolution has half as many, and it returns as many (256 to 2048).
/// Strides are on the 3x3 convolutions, and the projections that
/// stride are 3x3, too. SE is part of the network: there is no plain one, and the name has no
/// prefix. Options: classes (1000), image_channels, se, blocks, dropout (0.2), pool (see
/// resnet.cpp).
#include "exciton/nn/models/staged.hpp"

namespace exciton::nn::models {
namespace {

std::unique_ptr<Module> make(const ModelOptions& o, Generator& init) {
  return make_residual<Bottleneck>({.kind = "SENet",
                                    .stem = {{64, 3, 2}, {64}, {128}},
                                    .max_pool = strided_pool(o),
                                    .features = 2048,
                                    .dropout = 0.2},
                                   {3, 8, 36, 3}, o, init, [](std::size_t stage) {
                                     const std::int64_t width = 64 * 4 << stage;
                                     return BlockOptions{.width = width,
                                                         .stride_on = "3x3",
                                                         .first = width / 2,
                                                         .out = width,
                                                         .groups = 64,
                                                         .shortcut_kernel = 3};
                                   });
}

}  // namespace

void register_senet(Registry& registry) {
  Registry::Entry entry = imagenet("senet154", make, 4);
  entry.se = true;
  registry.add(reading(entry, {.pool = true}));
}

}  // namespace exciton::nn::models
