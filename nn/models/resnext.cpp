/// ResNeXt (Xie et al. 2017, table 1; SENet paper, table 1, third column), plain and with SE:
///   conv7x7 64 stride 2 - bn - relu - max pool 3x3 stride 2 - 4 stages - mean - fc
/// of bottlenecks whose 3x3 convolution has 32 groups of 4 channels in stage1, twice as many in
/// each later one, and which return twice its channels. The stride is on the 3x3 convolution, as in
/// the authors' SE-ResNeXt prototxt (not on the first 1x1, as in their SE-ResNet). stage1 to stage4
/// are the paper's conv2_x to conv5_x.
/// Options: classes (1000), image_channels, se, shortcut, blocks, dropout (0), pool (see
/// resnet.cpp).
#include "exciton/nn/models/staged.hpp"

namespace exciton::nn::models {
namespace {

std::unique_ptr<Module> make(const std::vector<std::int64_t>& blocks, ModelOptions o,
                             Generator& init) {
  return make_residual<Bottleneck>(
      {.kind = "ResNeXt", .stem = {{64, 7, 2}}, .max_pool = strided_pool(o), .features = 2048},
      blocks, o, init, [](std::size_t stage) {
        const std::int64_t width = 32 * 4 << stage;
        return BlockOptions{.width = width, .stride_on = "3x3", .out = 2 * width, .groups = 32};
      });
}

}  // namespace

void register_resnext(Registry& registry) {
  const std::pair<const char*, std::vector<std::int64_t>> networks[] = {
      {"resnext50_32x4d", {3, 4, 6, 3}}, {"resnext101_32x4d", {3, 4, 23, 3}}};
  for (const auto& [name, blocks] : networks) {
    const auto make_checked = [model = name, own = blocks](const ModelOptions& o, Generator& init) {
      check(o.stride_on == ModelOptions{}.stride_on || o.stride_on == "3x3", model,
            ": strides on its 3x3 convolutions, got stride_on \"", o.stride_on, "\"; leave it out");
      return make(own, o, init);
    };
    add_with_se(registry, imagenet(name, make_checked, 4),
                {.shortcut = true, .stride_on = true, .pool = true, .stems = {"7x7"}});
  }
}

}  // namespace exciton::nn::models
