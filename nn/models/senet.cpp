/// SENet-154 (SENet paper, appendix; the authors' prototxt): a modified 64x4d ResNeXt-152 with SE,
///   conv3x3 64 stride 2, conv3x3 64, conv3x3 128, each with bn - relu - max pool 3x3 stride 2 -
///   4 stages of 3, 8, 36, 3 bottlenecks - mean - dropout 0.2 - fc
/// A bottleneck's 3x3 convolution has 64 groups of 4 channels in stage1, twice as many in each
/// later one; its first 1x1 convolution has half as many, and it returns as many (256 to 2048).
/// Strides are on the 3x3 convolutions, and the projections that
/// stride are 3x3, too. The max pool is that of resnet.cpp. SE is part of the network: there is no
/// plain one, and the name has no prefix.
/// Options: classes (1000), image_channels, se, blocks, dropout (0.2).
#include <array>

#include "exciton/nn/blocks.hpp"
#include "exciton/nn/registry.hpp"

namespace exciton::nn::models {
namespace {

class SENet final : public Module {
 public:
  SENet(const std::array<int, 4>& blocks, const ModelOptions& o, Generator& init)
      : conv1(o.image_channels, 64, 3, {.stride = 2, .padding = 1}, init),
        bn1(64),
        conv2(64, 64, 3, {.padding = 1}, init),
        bn2(64),
        conv3(64, 128, 3, {.padding = 1}, init),
        bn3(128),
        max_pool({.kernel = 3, .stride = 2, .ceil_mode = true}),
        dropout(o.dropout < 0 ? 0.2 : o.dropout, init),
        fc(2048, o.classes, init) {
    constexpr std::int64_t groups = 64, group_width = 4;
    std::int64_t channels = 128;
    for (std::size_t stage = 0; stage < 4; ++stage) {
      const std::int64_t width = groups * group_width << stage;
      stages[stage] =
          make_stage<Bottleneck>(blocks_of(o.blocks, stage, blocks[stage]),
                                 {.in = channels,
                                  .width = width,
                                  .stride = stage > 0 ? 2 : 1,
                                  .se = o.se.in_stage(static_cast<std::int64_t>(stage) + 2, 4),
                                  .stride_on = "3x3",
                                  .first = width / 2,
                                  .out = width,
                                  .groups = groups,
                                  .shortcut_kernel = 3},
                                 init);
      channels = width;
    }
  }

  std::string_view kind() const override { return "SENet"; }
  void visit(Visitor& v) override {
    v("conv1", conv1);
    v("bn1", bn1);
    v("conv2", conv2);
    v("bn2", bn2);
    v("conv3", conv3);
    v("bn3", bn3);
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
    Var y = conv_norm(conv1, bn1, x, true);
    y = conv_norm(conv2, bn2, y, true);
    y = max_pool(conv_norm(conv3, bn3, y, true));
    for (auto& stage : stages) y = through(stage, y);
    return fc(dropout(pool(y)));
  }

 private:
  Conv2d conv1;
  BatchNorm bn1;
  Conv2d conv2;
  BatchNorm bn2;
  Conv2d conv3;
  BatchNorm bn3;
  MaxPool max_pool;
  std::vector<Bottleneck> stages[4];
  GlobalAvgPool pool;
  Dropout dropout;
  Linear fc;
};

}  // namespace

void register_senet(Registry& registry) {
  registry.add(
      {.name = "senet154",
       .image_size = 224,
       .classes = 1000,
       .se = true,
       .make =
           [](const ModelOptions& o, Generator& init) {
             const ModelOptions none;
             check(
                 o.stem == none.stem && o.stride_on == none.stride_on &&
                     o.shortcut == none.shortcut,
                 "senet154: its stem, strides and shortcuts are its own; leave stem, stride_on and "
                 "shortcut out");
             return std::make_unique<SENet>(std::array{3, 8, 36, 3}, o, init);
           },
       .stages = 4});
}

}  // namespace exciton::nn::models
