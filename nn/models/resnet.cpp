/// The ImageNet ResNets (He et al. 2016, table 1; SENet paper, table 1), plain and with SE:
///   conv7x7 64 stride 2 - bn - relu - max pool 3x3 stride 2 - 4 stages - mean - fc
/// resnet18, 34 of basic blocks, 50, 101, 152 of bottlenecks. stage1 to stage4 are the paper's
/// conv2_x to conv5_x; stages 2 to 4 start with stride 2.
/// Options: classes (1000), image_channels, se, shortcut, blocks, dropout (0), and
///   stride_on  "1x1" (default): the first convolution of a bottleneck strides, as in the paper's
///              networks and the authors' prototxt; "3x3": the second, as in torchvision.
///   stem       "7x7" (default), or "3x3": one 3x3 convolution with stride 2 and no pooling, for
///              images of about 64 to 128 pixels.
///   pool       "ceil" (default): the max pool has no padding and rounds its size up, as in the
///              authors' prototxt (Caffe, and timm's legacy_seresnet); "padded": it pads by 1, as
///              in torchvision. Both give 56 pixels from 112.
#include "exciton/nn/models/staged.hpp"

namespace exciton::nn::models {
namespace {

template <class Block>
Registry::Factory maker(const std::vector<std::int64_t>& blocks) {
  return [blocks](const ModelOptions& o, Generator& init) {
    Layout layout{.kind = "ResNet", .stem = {{64, 7, 2}}, .features = 512 * Block::expansion};
    if (o.stem == "3x3") {
      check(o.pool == ModelOptions{}.pool, "resnet: the stem 3x3 has no max pool; leave pool out");
      layout.stem = {{64, 3, 2}};
    } else {
      layout.max_pool = strided_pool(o);
    }
    return make_residual<Block>(layout, blocks, o, init, [&](std::size_t stage) {
      return BlockOptions{.width = 64 << stage, .stride_on = o.stride_on};
    });
  };
}

}  // namespace

void register_resnet(Registry& registry) {
  const std::pair<int, std::vector<std::int64_t>> depths[] = {{18, {2, 2, 2, 2}},
                                                              {34, {3, 4, 6, 3}},
                                                              {50, {3, 4, 6, 3}},
                                                              {101, {3, 4, 23, 3}},
                                                              {152, {3, 8, 36, 3}}};
  for (const auto& [layers, blocks] : depths) {
    const bool bottlenecks = layers >= 50;
    add_with_se(
        registry,
        imagenet("resnet" + std::to_string(layers),
                 bottlenecks ? maker<Bottleneck>(blocks) : maker<BasicBlock>(blocks), 4),
        {.shortcut = true, .stride_on = bottlenecks, .pool = true, .stems = {"7x7", "3x3"}});
  }
}

}  // namespace exciton::nn::models
