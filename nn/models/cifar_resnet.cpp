/// The CIFAR ResNets of He et al. 2016, section 4.2, plain and with SE on every block:
///   conv3x3 16 - bn - relu - 3 stages of n basic blocks with 16, 32, 64 channels - mean - fc
/// depth = 6 n + 2: resnet20, 32, 44, 56, 110; and resnet164, n = 18 bottlenecks a stage
/// (depth = 9 n + 2) that return four times those channels. Stages 2 and 3 start with stride 2.
/// stage1 to stage3 are 2 to 4 in se.stages, counted as in the paper with conv1 as the first.
/// Options: classes (10), image_channels, se, shortcut, blocks, dropout (0), stride_on (resnet164),
/// and except for resnet164 widths (16, 32, 64; the stem has the first).
///   shortcut: "projection" (1x1 convolution, the default: the published SE counts have it), or
///   "zero_pad", the parameter-free one of He et al.
#include "exciton/nn/blocks.hpp"
#include "exciton/nn/registry.hpp"

namespace exciton::nn::models {
namespace {

std::int64_t width_of(const ModelOptions& o, std::size_t stage) {
  return o.widths.empty() ? std::int64_t{16} << stage : o.widths[stage];
}

template <class Block>
class CifarResNet final : public Module {
 public:
  CifarResNet(int blocks, const ModelOptions& o, Generator& init)
      : conv1(o.image_channels, width_of(o, 0), 3, {.padding = 1}, init),
        bn1(width_of(o, 0)),
        dropout(o.dropout < 0 ? 0 : o.dropout, init),
        fc(width_of(o, 2) * Block::expansion, o.classes, init) {
    std::int64_t channels = width_of(o, 0);
    for (std::size_t stage = 0; stage < 3; ++stage) {
      const BlockOptions first{.in = channels,
                               .width = width_of(o, stage),
                               .stride = stage > 0 ? 2 : 1,
                               .se = o.se.in_stage(static_cast<std::int64_t>(stage) + 2, 3),
                               .shortcut = o.shortcut,
                               .stride_on = o.stride_on};
      stages[stage] = make_stage<Block>(blocks_of(o.blocks, stage, blocks), first, init);
      channels = channels_out<Block>(first);
    }
  }

  std::string_view kind() const override { return "CifarResNet"; }
  void visit(Visitor& v) override {
    v("conv1", conv1);
    v("bn1", bn1);
    v("stage1", stages[0]);
    v("stage2", stages[1]);
    v("stage3", stages[2]);
    v("pool", pool);
    v("dropout", dropout);
    v("fc", fc);
  }

 protected:
  Var forward(const Var& x) override {
    Var y = conv_norm(conv1, bn1, x, true);
    for (auto& stage : stages) y = through(stage, y);
    return fc(dropout(pool(y)));
  }

 private:
  Conv2d conv1;
  BatchNorm bn1;
  std::vector<Block> stages[3];
  GlobalAvgPool pool;
  Dropout dropout;
  Linear fc;
};

}  // namespace

void register_cifar_resnet(Registry& registry) {
  for (const int depth : {20, 32, 44, 56, 110, 164})
    for (const bool se : {false, true}) {
      const std::string name = (se ? "se_resnet" : "resnet") + std::to_string(depth);
      registry.add({.name = name,
                    .image_size = 32,
                    .classes = 10,
                    .se = se,
                    .make = [name, depth](const ModelOptions& o,
                                          Generator& init) -> std::unique_ptr<Module> {
                      check(o.stem.empty(), name, ": CIFAR ResNets have one stem, got stem \"",
                            o.stem, "\"; leave it out");
                      if (depth == 164)
                        return std::make_unique<CifarResNet<Bottleneck>>((depth - 2) / 9, o, init);
                      check(o.stride_on == ModelOptions{}.stride_on, name,
                            ": stride_on is for bottlenecks, basic blocks have none; leave it out");
                      return std::make_unique<CifarResNet<BasicBlock>>((depth - 2) / 6, o, init);
                    },
                    .stages = 3,
                    .widths = depth != 164});
    }
}

}  // namespace exciton::nn::models
