/// ResNeXt (Xie et al. 2017, table 1; SENet paper, table 1, third column), plain and with SE:
///   conv7x7 64 stride 2 - bn - relu - max pool 3x3 stride 2 - 4 stages - mean - fc
/// of bottlenecks whose 3x3 convolution has 32 groups of 4 channels in stage1, twice as many in
/// each later one, and which return twice its channels. The stride is on the 3x3 convolution, as in
/// the authors' SE-ResNeXt prototxt (not on the first 1x1, as in their SE-ResNet). stage1 to stage4
/// are the paper's conv2_x to conv5_x. The max pool is that of resnet.cpp.
/// Options: classes (1000), image_channels, se, shortcut, blocks, dropout (0).
#include <array>

#include "exciton/nn/blocks.hpp"
#include "exciton/nn/registry.hpp"

namespace exciton::nn::models {
namespace {

class ResNeXt final : public Module {
 public:
  ResNeXt(const std::array<int, 4>& blocks, const ModelOptions& o, Generator& init)
      : conv1(o.image_channels, 64, 7, {.stride = 2, .padding = 3}, init),
        bn1(64),
        max_pool({.kernel = 3, .stride = 2, .ceil_mode = true}),
        dropout(o.dropout < 0 ? 0 : o.dropout, init),
        fc(2048, o.classes, init) {
    constexpr std::int64_t groups = 32, group_width = 4;
    std::int64_t channels = 64;
    for (std::size_t stage = 0; stage < 4; ++stage) {
      const std::int64_t width = groups * group_width << stage;
      stages[stage] =
          make_stage<Bottleneck>(blocks_of(o.blocks, stage, blocks[stage]),
                                 {.in = channels,
                                  .width = width,
                                  .stride = stage > 0 ? 2 : 1,
                                  .se = o.se.in_stage(static_cast<std::int64_t>(stage) + 2, 4),
                                  .shortcut = o.shortcut,
                                  .stride_on = "3x3",
                                  .out = 2 * width,
                                  .groups = groups},
                                 init);
      channels = 2 * width;
    }
  }

  std::string_view kind() const override { return "ResNeXt"; }
  void visit(Visitor& v) override {
    v("conv1", conv1);
    v("bn1", bn1);
    v("max_pool", max_pool);
    v("stage1", stages[0]);
    v("stage2", stages[1]);
    v("stage3", stages[2]);
    v("stage4", stages[3]);
    v("pool", pool);
    v("dropout", dropout);
    v("fc", fc);
  }

 protected:
  Var forward(const Var& x) override {
    Var y = max_pool(conv_norm(conv1, bn1, x, true));
    for (auto& stage : stages) y = through(stage, y);
    return fc(dropout(pool(y)));
  }

 private:
  Conv2d conv1;
  BatchNorm bn1;
  MaxPool max_pool;
  std::vector<Bottleneck> stages[4];
  GlobalAvgPool pool;
  Dropout dropout;
  Linear fc;
};

}  // namespace

void register_resnext(Registry& registry) {
  const std::pair<const char*, std::array<int, 4>> networks[] = {
      {"resnext50_32x4d", {3, 4, 6, 3}}, {"resnext101_32x4d", {3, 4, 23, 3}}};
  for (const auto& network : networks)
    for (const bool se : {false, true}) {
      const std::string name = (se ? "se_" : "") + std::string(network.first);
      registry.add({.name = name,
                    .image_size = 224,
                    .classes = 1000,
                    .se = se,
                    .make =
                        [name, blocks = network.second](const ModelOptions& o, Generator& init) {
                          check(o.stem.empty() || o.stem == "7x7", name,
                                ": has a 7x7 stem, got stem \"", o.stem, "\"; leave it out");
                          check(o.stride_on == ModelOptions{}.stride_on || o.stride_on == "3x3",
                                name, ": strides on the 3x3 convolution, got stride_on \"",
                                o.stride_on, "\"; leave it out");
                          return std::make_unique<ResNeXt>(blocks, o, init);
                        },
                    .stages = 4});
    }
}

}  // namespace exciton::nn::models
