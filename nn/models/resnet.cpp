/// The ImageNet ResNets (He et al. 2016, table 1; SENet paper, table 1), plain and with SE:
///   conv7x7 64 stride 2 - bn - relu - max pool 3x3 stride 2 - 4 stages - mean - fc
/// resnet18, 34 of basic blocks, 50, 101, 152 of bottlenecks. stage1 to stage4 are the paper's
/// conv2_x to conv5_x; stages 2 to 4 start with stride 2.
/// Options: classes (1000), image_channels, se, shortcut, blocks, dropout (0), and
///   stride_on  "1x1" (default): the first convolution of a bottleneck strides, as in the paper's
///              networks and the authors' prototxt; "3x3": the second, as in torchvision.
///   stem       "7x7" (default), or "3x3": one 3x3 convolution with stride 2 and no pooling, for
///              images of about 64 to 128 pixels.
/// The max pool has no padding and rounds its size up, as in the authors' prototxt (Caffe, and
/// timm's legacy_seresnet); torchvision pads by 1 instead. Both give 56 pixels from 112.
#include <array>

#include "exciton/nn/blocks.hpp"
#include "exciton/nn/registry.hpp"

namespace exciton::nn::models {
namespace {

struct Depth {
  int layers;
  std::array<int, 4> blocks;
};

template <class Block>
class ResNet final : public Module {
 public:
  ResNet(const std::array<int, 4>& blocks, const ModelOptions& o, Generator& init)
      : small_stem(o.stem == "3x3"),
        conv1(o.image_channels, 64, small_stem ? 3 : 7,
              {.stride = 2, .padding = small_stem ? 1 : 3}, init),
        bn1(64),
        max_pool({.kernel = 3, .stride = 2, .ceil_mode = true}),
        dropout(o.dropout < 0 ? 0 : o.dropout, init),
        fc(512 * Block::expansion, o.classes, init) {
    std::int64_t channels = 64;
    for (std::size_t stage = 0; stage < 4; ++stage) {
      const BlockOptions first{.in = channels,
                               .width = 64 << stage,
                               .stride = stage > 0 ? 2 : 1,
                               .se = o.se.in_stage(static_cast<std::int64_t>(stage) + 2, 4),
                               .shortcut = o.shortcut,
                               .stride_on = o.stride_on};
      stages[stage] = make_stage<Block>(blocks_of(o.blocks, stage, blocks[stage]), first, init);
      channels = channels_out<Block>(first);
    }
  }

  std::string_view kind() const override { return "ResNet"; }
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
    Var y = conv_norm(conv1, bn1, x, true);
    if (!small_stem) y = max_pool(y);
    for (auto& stage : stages) y = through(stage, y);
    return fc(dropout(pool(y)));
  }

 private:
  bool small_stem;
  Conv2d conv1;
  BatchNorm bn1;
  MaxPool max_pool;
  std::vector<Block> stages[4];
  GlobalAvgPool pool;
  Dropout dropout;
  Linear fc;
};

}  // namespace

void register_resnet(Registry& registry) {
  const Depth depths[] = {{18, {2, 2, 2, 2}},
                          {34, {3, 4, 6, 3}},
                          {50, {3, 4, 6, 3}},
                          {101, {3, 4, 23, 3}},
                          {152, {3, 8, 36, 3}}};
  for (const Depth& d : depths)
    for (const bool se : {false, true}) {
      const std::string name = (se ? "se_resnet" : "resnet") + std::to_string(d.layers);
      registry.add(
          {.name = name,
           .image_size = 224,
           .classes = 1000,
           .se = se,
           .make = [name, d](const ModelOptions& o, Generator& init) -> std::unique_ptr<Module> {
             check(o.stem.empty() || o.stem == "7x7" || o.stem == "3x3", name, ": unknown stem \"",
                   o.stem, "\"; known are 7x7 and 3x3");
             if (d.layers >= 50) return std::make_unique<ResNet<Bottleneck>>(d.blocks, o, init);
             check(o.stride_on == ModelOptions{}.stride_on, name,
                   ": stride_on is for bottlenecks, basic blocks have none; leave it out");
             return std::make_unique<ResNet<BasicBlock>>(d.blocks, o, init);
           },
           .stages = 4});
    }
}

}  // namespace exciton::nn::models
